//! The known hashes were made with the reference implementations of argon2 and bcrypt and with OpenSSL's
//! scrypt and AES; the password is the same for all.

use super::*;
use proptest::prelude::*;

const PASSWORD: &[u8] = b"correct horse battery staple";

const KNOWN: &[&str] = &[
    "$2a$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
    "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
    "$2y$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG",
    "$argon2id$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$LZa64SBRNJGKx9rRs1A/IbiVJA26G8MZ",
    "$argon2i$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$uzPi2ZU7CCWxH+jlrM1RrfinjhRzYKf/",
    "$argon2d$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$eoaMXzxqfPSuAVBIEIgoikenRleocsOk",
    "$argon2i$v=16$m=64,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$dPozAdedAnE7mVegpEbz56Bn3xHpTJSfwqL1eU47DV8",
    "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bws=,sk=ZiBxLBLOa68xQZDJBNnYj7Dfq1AhIm9kACa6pikR4UUderNwr75X3Wi2aQxOPI53YLyMYdHP0kWbfUSfokKuwQ==$AAECAwQFBgcICQ==$kVjqK915D4F1k7MNHj+qUK687sK7GY3Sx3QcGUGVdrnObWiIgGCKlmZEsCiCcTVypCpu/3t1TkYIB4F7aTHNvA==",
    "$fbscrypt$v=1,n=10,r=8,p=1,sk=ZiBxLBLOa68xQZDJBNnYj7Dfq1AhIm9kACa6pikR4UUderNwr75X3Wi2aQxOPI53YLyMYdHP0kWbfUSfokKuwQ==$AAECAwQFBgcICQ==$+Tat7g4EX5UjqEqYcI7RtNPYAOVTNyCrc4M2hXUnp2knBEsRnrJ3GCc9qWcBT53WmBfbYbbhrUB18GpY6l5cIw==",
];

/// A hash with the default cost, by the reference implementation.
const OWASP: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$ISO7kkvFzh19GM8qB7patN3C3Y9HHsjlVTfEZ9T600Y";

fn small() -> Params {
    Cost { memory_kib: 64, passes: 1, lanes: 1 }.params().unwrap()
}

fn verdict(password: &[u8], text: &str) -> Verdict {
    verify(&small(), password, text, &mut Memory::default())
}

#[test]
fn known_hashes_are_verified() {
    for text in KNOWN {
        assert!(is_supported(text), "{text}");
        assert!(matches!(verdict(PASSWORD, text), Verdict::Match { .. }), "{text}");
        assert_eq!(verdict(b"correct horse battery stapl", text), Verdict::Mismatch, "{text}");
        assert_eq!(verdict(b"", text), Verdict::Mismatch, "{text}");
    }
}

#[test]
fn the_default_cost_is_what_the_reference_calls_it() {
    let params = Cost::default().params().unwrap();
    let found = verify(&params, PASSWORD, OWASP, &mut Memory::default());
    assert_eq!(found, Verdict::Match { rehash: false });
}

#[test]
fn only_our_own_kind_and_cost_need_no_new_hash() {
    let rehash = |text: &str| verdict(PASSWORD, text) == Verdict::Match { rehash: true };
    let weaker: Vec<bool> = KNOWN.iter().map(|text| rehash(text)).collect();
    assert_eq!(weaker, [true, true, true, false, true, true, true, true, true]);
    let ours = Cost::default().params().unwrap();
    let cheap = KNOWN[3];
    let found = verify(&ours, PASSWORD, cheap, &mut Memory::default());
    assert_eq!(found, Verdict::Match { rehash: true });
}

#[test]
fn a_new_hash_is_argon2id_with_its_own_salt() {
    let mut memory = Memory::default();
    let one = hash(&small(), b"secret", &mut memory).unwrap();
    let other = hash(&small(), b"secret", &mut memory).unwrap();
    assert!(one.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{one}");
    assert_ne!(one, other);
    assert_eq!(verdict(b"secret", &one), Verdict::Match { rehash: false });
    assert_eq!(verdict(b"Secret", &one), Verdict::Mismatch);
}

/// As in GoTrue: what comes after byte 72 does not count for imported users.
#[test]
fn bcrypt_looks_at_72_bytes() {
    let text = "$2a$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";
    assert!(matches!(verdict(&[b'x'; 72], text), Verdict::Match { .. }));
    assert!(matches!(verdict(&[b'x'; 80], text), Verdict::Match { .. }));
    assert_eq!(verdict(&[b'x'; 71], text), Verdict::Mismatch);
}

/// Each would cost an attacker who may set hashes one request, and us minutes or gigabytes.
#[test]
fn hashes_that_ask_for_too_much_are_refused() {
    let salt = "c29tZXNhbHRzb21lc2FsdA$uzPi2ZU7CCWxH+jlrM1RrfinjhRzYKf/";
    let signed = "sk=ZiBxLBLOa68xQZDJBNnYjw==$AAECAwQFBgcICQ==$kVjqK915D4F1k7MNHj+qUA==";
    for text in [
        format!("$argon2id$v=19$m=4194304,t=1,p=1${salt}"),
        format!("$argon2id$v=19$m=64,t=4294967295,p=1${salt}"),
        format!("$argon2id$v=19$m=262144,t=5,p=1${salt}"),
        format!("$argon2id$v=19$m=65536,t=1,p=17${salt}"),
        format!("$fbscrypt$v=1,n=20,r=8,p=1,{signed}"),
        format!("$fbscrypt$v=1,n=63,r=8,p=1,{signed}"),
        format!("$fbscrypt$v=1,n=64,r=8,p=1,{signed}"),
        format!("$fbscrypt$v=1,n=14,r=4294967295,p=1,{signed}"),
        format!("$fbscrypt$v=1,n=14,r=8,p=4294967295,{signed}"),
        "$2a$15$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG".to_owned(),
        "$2a$31$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG".to_owned(),
        format!("$2a$04${}", "a".repeat(2_000)),
    ] {
        assert!(!is_supported(&text), "{text}");
        assert_eq!(verdict(PASSWORD, &text), Verdict::Unsupported, "{text}");
    }
}

#[test]
fn what_is_no_hash_is_refused() {
    let salt = "c29tZXNhbHRzb21lc2FsdA$uzPi2ZU7CCWxH+jlrM1RrfinjhRzYKf/";
    for text in [
        String::new(),
        "secret".to_owned(),
        "$2x$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG".to_owned(),
        "$2a$03$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG".to_owned(),
        "$2a$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6C".to_owned(),
        format!("$argon2id$m=64,t=2,p=1${salt}"),
        format!("$argon2id$v=18$m=64,t=2,p=1${salt}"),
        format!("$argon2id$v=19$m=64,t=2,p=1,keyid=AAAA${salt}"),
        format!("$argon2x$v=19$m=64,t=2,p=1${salt}"),
        "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHRzb21lc2FsdA".to_owned(),
        "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==$AAEC$".to_owned(),
        "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=$AAEC$".to_owned(),
        "$fbscrypt$v=2,n=14,r=8,p=1,sk=AAEC$AAEC$AAEC".to_owned(),
        "$fbscrypt$v=1,n=14,r=0,p=1,sk=AAEC$AAEC$AAEC".to_owned(),
        "$fbscrypt$v=1,n=14,r=8,p=1,sk=AAEC$AAEC$AAECAwQF".to_owned(),
        "$fbscrypt$v=1,n=14,r=8,p=1,sk=AAEC$AAEC$AAEC$AAEC".to_owned(),
    ] {
        assert!(!is_supported(&text), "{text}");
    }
}

#[test]
fn memory_of_a_large_hash_is_given_back() {
    let mut memory = Memory::default();
    verify(&small(), PASSWORD, OWASP, &mut memory);
    assert_eq!(memory.0.len(), 19 * 1024);
    memory.trim(&small());
    assert_eq!(memory.0.len(), 64);
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "(\\$(2a|2b|argon2id|fbscrypt)\\$)?\\PC{0,80}") {
        is_supported(&text);
    }

    /// Memory that other hashes left behind changes nothing.
    #[test]
    fn a_hash_fits_its_own_password_only(
        password in "\\PC{0,90}", other in "\\PC{0,90}", dirt in 8u32..200,
    ) {
        let mut memory = Memory::default();
        let larger = Cost { memory_kib: dirt, passes: 1, lanes: 1 }.params().unwrap();
        verify_nothing(&larger, b"dirt", &mut memory);
        let text = hash(&small(), password.as_bytes(), &mut memory).unwrap();
        let found = verify(&small(), other.as_bytes(), &text, &mut memory);
        let expected =
            if password == other { Verdict::Match { rehash: false } } else { Verdict::Mismatch };
        prop_assert_eq!(found, expected);
        let found = verify(&small(), password.as_bytes(), &text, &mut memory);
        prop_assert_eq!(found, Verdict::Match { rehash: false });
    }
}
