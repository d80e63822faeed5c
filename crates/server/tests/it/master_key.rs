//! Commands and the master key of an external cluster.

use plinth_testkit::{MASTER_KEY, Template, TestDatabase};
use serde_json::Value;

use crate::cli::plinth;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_without_the_right_master_key_says_what_it_wants() {
    let database = TestDatabase::create(&Template::Platform).await.unwrap();
    let project = database.project();
    let endpoint = database.cluster().cluster().endpoint();
    let url = endpoint.url(&endpoint.admin, "postgres");
    let folder = format!("{}/no-master-key", env!("CARGO_TARGET_TMPDIR"));
    let show = |environment: &[(&str, &str)]| {
        let at = ["--database-url", url.expose(), "--data-dir", &folder];
        let arguments = [&at[..], &["project", "show", &project.name, "-o", "json"]].concat();
        plinth(&arguments, environment).output().unwrap()
    };
    let other = "ab".repeat(32);
    for (environment, why) in [
        (vec![], "is not there"),
        (vec![("PLINTH_MASTER_KEY", other.as_str())], "is not the master key that was given"),
        (vec![("PLINTH_MASTER_KEY", "short")], "32 bytes"),
    ] {
        let done = show(&environment);
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success() && said.contains(why), "{why}: {said}");
        assert!(said.contains("PLINTH_MASTER_KEY") && said.contains("no-master-key/master.key"));
        assert!(!said.contains("abab"), "{said}");
        assert!(!std::path::Path::new(&folder).exists(), "a key was made");
    }
    let done = show(&[("PLINTH_MASTER_KEY", MASTER_KEY)]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let shown: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(shown.to_string().contains(project.keys.secret_key.expose()));
}
