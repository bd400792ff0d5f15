//! A registry with a token server that lets a user pull `USER/*` and nothing else.

use super::{ALICE, BOB, CAROL, Case, NOBODY, Secret, WRONG};
use crate::images::Images;
use crate::judge::Class::{Authorization, NotFound};
use crate::scene::Places;

pub(super) fn cases(places: &Places, images: &Images) -> Vec<Case> {
    let (host, one) = (places.bearer.as_str(), images.single.as_str());
    let absent = format!("sha256:{}", "0".repeat(64));
    let login = |login| Secret::login(host, login);
    let case = |name: &str, rest: &str| Case::new(&format!("bearer: {name}"), format!("{host}/{rest}"));
    let alice = |name: &str, rest: &str| case(name, rest).secret(login(ALICE)).asks_as(&[ALICE]);
    let flawed = |name: &str, made: (&'static str, &'static str)| {
        case(name, "alice/app:v1").secret(login(made)).asks_as(&[made]).fails(&[Authorization])
    };
    vec![
        alice("the right login", "alice/app:v1").resolves_to(one),
        case("no secret at all", "alice/app:v1").fails(&[Authorization]),
        flawed("a wrong password", WRONG),
        flawed("an unknown user", ("mallory", "canary-wonderland")),
        flawed("an empty password", ("alice", "")),
        flawed("a newline after the password", ("alice", "canary-wonderland\n")),
        case("a password without a user is dropped", "alice/app:v1")
            .secret(login(("", "canary-wonderland")))
            .asks_as(&[NOBODY])
            .fails(&[Authorization]),
        alice("another user's repository", "bob/app:v1").fails(&[Authorization]),
        alice("a missing repository of another user", "bob/none:v1").fails(&[Authorization]),
        case("bob's repository as bob", "bob/app:v1").secret(login(BOB)).asks_as(&[BOB]).resolves_to(&images.bob),
        case("a password with colons", "carol/app:v1")
            .secret(login(CAROL))
            .asks_as(&[CAROL])
            .resolves_to(&images.carol),
        case("another user first, then the owner", "alice/app:v1")
            .secret(login(BOB))
            .secret(login(ALICE))
            .asks_as(&[BOB, ALICE])
            .resolves_to(one),
        case("wrong, then right", "alice/app:v1")
            .secret(login(WRONG))
            .secret(login(ALICE))
            .asks_as(&[WRONG, ALICE])
            .resolves_to(one),
        case("wrong, then another user: two texts", "alice/app:v1")
            .secret(login(WRONG))
            .secret(login(BOB))
            .asks_as(&[WRONG, BOB])
            .fails(&[Authorization, Authorization]),
        case("another user, then the owner: the tag is missing", "alice/app:v2")
            .secret(login(BOB))
            .secret(login(ALICE))
            .asks_as(&[BOB, ALICE])
            .fails(&[Authorization, NotFound]),
        case("a key per user's path", "bob/app:v1")
            .secret(Secret::entries(&[(&format!("{host}/alice"), ALICE), (&format!("{host}/bob"), BOB)]))
            .asks_as(&[BOB])
            .resolves_to(&images.bob),
        case("a login for another registry", "alice/app:v1")
            .secret(Secret::login(&places.basic, ALICE))
            .fails(&[Authorization]),
        alice("a missing tag", "alice/app:v2").fails(&[NotFound]),
        alice("a missing repository", "alice/none:v1").fails(&[NotFound]),
        alice("a nested repository", "alice/deep/nested/app:v1").resolves_to(&images.nested),
        alice("a digest", &format!("alice/app@{one}")).resolves_to(one),
        alice("a digest that is not there", &format!("alice/app@{absent}")).fails(&[NotFound]),
        alice("a bogus tag with a digest", &format!("alice/app:bogus@{one}")).resolves_to(one),
        alice("an OCI index", "alice/app:multi").resolves_to(&images.index),
        alice("a Docker manifest list", "alice/app:list").resolves_to(&images.list),
    ]
}
