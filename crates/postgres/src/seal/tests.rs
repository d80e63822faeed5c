use super::*;
use proptest::prelude::*;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn sealer(keys: &str) -> Sealer {
    Sealer::parse(&Secret::new(keys)).unwrap()
}

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("plinth-seal-{}", URL_SAFE_NO_PAD.encode(random::<9>().unwrap()));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn what_was_sealed_opens() {
    let sealer = sealer(HEX);
    let sealed = sealer.seal("mfa_factors.secret", "7", b"JBSWY3DP").unwrap();
    assert!(sealed.starts_with("v1."), "{sealed}");
    assert_eq!(sealer.open("mfa_factors.secret", "7", &sealed).unwrap(), b"JBSWY3DP");
    let text = sealer.open_text("mfa_factors.secret", "7", &sealed).unwrap();
    assert_eq!(text.expose(), "JBSWY3DP");
}

#[test]
fn equal_texts_are_sealed_differently() {
    let sealer = sealer(HEX);
    assert_ne!(sealer.seal("p", "7", b"same").unwrap(), sealer.seal("p", "7", b"same").unwrap());
}

#[test]
fn a_sealed_text_is_bound_to_purpose_and_row() {
    let sealer = sealer(HEX);
    let sealed = sealer.seal("totp", "17", b"secret").unwrap();
    for (purpose, row) in
        [("totp", "18"), ("oauth", "17"), ("totp1", "7"), ("tot", "p17"), ("", "")]
    {
        assert_eq!(sealer.open(purpose, row, &sealed), Err(SealError::Forged), "{purpose} {row}");
    }
}

#[test]
fn a_new_master_key_seals_and_the_old_one_still_opens() {
    let old = sealer(HEX);
    let sealed = old.seal("p", "7", b"secret").unwrap();
    assert!(!old.is_outdated(&sealed));
    let both = sealer(&format!("{OTHER}\n{HEX}\n"));
    assert_eq!(both.open("p", "7", &sealed).unwrap(), b"secret");
    assert!(both.is_outdated(&sealed));
    let anew = both.seal("p", "7", b"secret").unwrap();
    assert!(!both.is_outdated(&anew));
    assert_eq!(old.open("p", "7", &anew), Err(SealError::UnknownKey));
    assert_eq!(sealer(OTHER).open("p", "7", &anew).unwrap(), b"secret");
}

#[test]
fn a_key_is_the_same_in_both_spellings() {
    let sealed = sealer(HEX).seal("p", "7", b"secret").unwrap();
    for spelling in [BASE64.to_owned(), BASE64.trim_end_matches('=').to_owned(), HEX.to_uppercase()]
    {
        assert_eq!(sealer(&spelling).open("p", "7", &sealed).unwrap(), b"secret");
    }
}

#[test]
fn keys_of_other_lengths_are_refused() {
    for text in ["00", &HEX[2..], "zz", "not a key"] {
        let refused = Sealer::parse(&Secret::new(text));
        assert!(matches!(refused, Err(MasterKeyError::Malformed)), "{text}");
    }
    assert!(matches!(Sealer::parse(&Secret::new(" \n")), Err(MasterKeyError::Missing)));
}

#[test]
fn debug_shows_names_only() {
    let shown = format!("{:?}", sealer(HEX));
    assert!(shown.starts_with("Sealer { keys: [\"") && shown.len() < 40, "{shown}");
}

#[test]
fn a_missing_file_is_made_once_and_for_its_owner() {
    let folder = Folder::new();
    let path = folder.0.join("master.key");
    let first = Sealer::load_or_create(&path).unwrap();
    let sealed = first.seal("p", "7", b"secret").unwrap();
    let second = Sealer::load_or_create(&path).unwrap();
    assert_eq!(second.open("p", "7", &sealed).unwrap(), b"secret");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no draft is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn those_who_begin_at_once_agree_on_one_key() {
    let folder = Folder::new();
    let path = folder.0.join("master.key");
    let sealers: Vec<Sealer> = std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..8).map(|_| scope.spawn(|| Sealer::load_or_create(&path).unwrap())).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(sealers.iter().all(|sealer| sealer.keys[0].id == sealers[0].keys[0].id));
}

#[test]
fn a_file_that_cannot_be_used_is_never_replaced() {
    let folder = Folder::new();
    let path = folder.0.join("master.key");
    fs::write(&path, "garbage").unwrap();
    assert!(matches!(Sealer::load_or_create(&path), Err(MasterKeyError::Malformed)));
    fs::write(&path, "").unwrap();
    assert!(matches!(Sealer::load_or_create(&path), Err(MasterKeyError::Missing)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    let nowhere = folder.0.join("missing").join("master.key");
    assert!(matches!(Sealer::load_or_create(&nowhere), Err(MasterKeyError::File { .. })));
}

#[test]
fn only_who_asks_for_it_gets_a_new_key() {
    let folder = Folder::new();
    let path = folder.0.join("new").join("master.key");
    let place = KeyPlace::File(path.clone());
    assert!(place.load().unwrap().is_none());
    assert!(!path.exists());
    let made = place.load_or_create().unwrap();
    let found = place.load().unwrap().unwrap();
    assert!(made.names().eq(found.names()));
    let sealed = made.seal("p", "7", b"secret").unwrap();
    assert_eq!(master_key_name(&sealed), made.names().next());
    assert_eq!(master_key_name("secret"), None);
    let given = KeyPlace::Given(Secret::new(HEX));
    assert!(!format!("{given:?} {given}").contains(HEX));
    assert_eq!(given.load().unwrap().unwrap().names().count(), 1);
    assert!(KeyPlace::Given(Secret::new("")).load_or_create().is_err());
}

proptest! {
    #[test]
    fn anything_survives(plain in prop::collection::vec(any::<u8>(), 0..200), row in "\\PC*") {
        let sealer = sealer(HEX);
        let sealed = sealer.seal("p", &row, &plain).unwrap();
        prop_assert_eq!(sealer.open("p", &row, &sealed).unwrap(), plain);
    }

    #[test]
    fn a_changed_text_does_not_open(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.+/=-]") {
        let sealer = sealer(HEX);
        let sealed = sealer.seal("p", "7", b"secret").unwrap();
        let at = at.index(sealed.len());
        let mut changed = sealed.clone();
        changed.replace_range(at..=at, &with);
        prop_assume!(changed != sealed);
        prop_assert!(sealer.open("p", "7", &changed).is_err());
        prop_assert!(sealer.open("p", "7", &sealed[..at]).is_err());
    }

    #[test]
    fn any_text_is_answered(text in "(v1\\.)?\\PC*") {
        prop_assert!(sealer(HEX).open("p", "7", &text).is_err());
    }
}
