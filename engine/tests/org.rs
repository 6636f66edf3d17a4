//! Collecting and backing up the simulated org, quiet and troubled: nothing may be lost without being said.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use okta_sim::{Change, Fault, FaultAction, OktaSim, RateLimits};
use orgkeep_engine::authorize::{authorize, scopes_for};
use orgkeep_engine::backup::{BackupError, BackupOptions, Outcome, backup};
use orgkeep_engine::blobs::Memory;
use orgkeep_engine::canonical::canonical;
use orgkeep_engine::catalogue::{ObjectType, all};
use orgkeep_engine::clock::SystemClock;
use orgkeep_engine::collect::{CollectOptions, Collected, collect, collect_one};
use orgkeep_engine::id::DomainId;
use orgkeep_engine::keys::FileProvider;
use orgkeep_engine::monitor::{Monitor, Progress};
use orgkeep_engine::object::{Canonical, Coverage, Sink};
use orgkeep_engine::okta::{Call, Credentials, Http, HttpOptions, OktaApi, OktaError, Reply};
use orgkeep_engine::store::{DomainStore, Store};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

fn of(name: &str) -> ObjectType {
    name.parse().unwrap()
}

#[derive(Debug, Default)]
struct Ears {
    cancelled: AtomicBool,
    requests: AtomicU64,
    cancel_at: AtomicU64,
}

impl Monitor for Ears {
    fn report(&self, progress: Progress) {
        if progress == Progress::Request {
            let count = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
            if count == self.cancel_at.load(Ordering::SeqCst) {
                self.cancelled.store(true, Ordering::SeqCst);
            }
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }
}

fn secret(sim: &OktaSim) -> Credentials {
    Credentials::ClientSecret {
        client_id: sim.client_id().to_owned(),
        secret: sim.client_secret().into(),
    }
}

fn options(sim: &OktaSim, credentials: Credentials, ears: &Arc<Ears>) -> HttpOptions {
    let monitor: Arc<dyn Monitor> = Arc::<Ears>::clone(ears);
    let mut options = HttpOptions::new(
        sim.url().parse().unwrap(),
        credentials,
        Arc::new(SystemClock),
        monitor,
    );
    options.scopes = scopes_for(&all().collect::<Vec<_>>()).read;
    options.share_pct = 100;
    options
}

fn http(sim: &OktaSim) -> Http {
    Http::new(options(sim, secret(sim), &Arc::default())).unwrap()
}

/// Keeps what it is given, as the store would.
#[derive(Debug, Default)]
struct Kept {
    objects: BTreeMap<(ObjectType, String), Canonical>,
    coverage: BTreeMap<ObjectType, Coverage>,
}

impl Sink for Kept {
    type Error = Infallible;

    fn object(&mut self, object: Canonical) -> Result<(), Infallible> {
        self.objects
            .insert((object.object_type, object.id.clone()), object);
        Ok(())
    }

    fn children(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        children: Vec<Canonical>,
    ) -> Result<(), Infallible> {
        self.objects.retain(|(kept, _), object| {
            *kept != object_type || object.parent.as_deref() != Some(parent)
        });
        for child in children {
            assert_eq!(child.parent.as_deref(), Some(parent));
            self.object(child)?;
        }
        Ok(())
    }

    fn gone(&mut self, object_type: ObjectType, id: &str) -> Result<(), Infallible> {
        self.objects.remove(&(object_type, id.to_owned()));
        Ok(())
    }

    fn end_type(&mut self, object_type: ObjectType, coverage: Coverage) -> Result<(), Infallible> {
        assert!(
            self.coverage.insert(object_type, coverage).is_none(),
            "{object_type} ended twice"
        );
        Ok(())
    }
}

impl Kept {
    fn ids(&self, object_type: ObjectType) -> BTreeSet<String> {
        let of_type = self.objects.keys().filter(|(kept, _)| *kept == object_type);
        of_type.map(|(_, id)| id.clone()).collect()
    }
}

fn collected(sim: &OktaSim) -> (Kept, Collected) {
    let mut kept = Kept::default();
    let options = CollectOptions {
        log_settle: Duration::from_millis(100),
        ..CollectOptions::default()
    };
    let collected = collect(
        &http(sim),
        &options,
        &mut kept,
        &SystemClock,
        &orgkeep_engine::monitor::Silent,
    )
    .unwrap();
    assert_eq!(collected.coverage, kept.coverage);
    (kept, collected)
}

/// The ids of a type as the interface writes them.
fn ids(sim: &OktaSim, object_type: ObjectType) -> BTreeSet<String> {
    let ids = sim.ids(object_type.name()).into_iter();
    match object_type.name() {
        "app_user_schema" => ids.map(|app| format!("{app}/default")).collect(),
        _ => ids.collect(),
    }
}

fn assert_whole(sim: &OktaSim, kept: &Kept) {
    for object_type in all() {
        let ours = kept.ids(object_type);
        let theirs = ids(sim, object_type);
        let lost: Vec<_> = theirs.difference(&ours).take(3).collect();
        let invented: Vec<_> = ours.difference(&theirs).take(3).collect();
        assert!(
            lost.is_empty() && invented.is_empty(),
            "{object_type}: lost {lost:?}, invented {invented:?}"
        );
        let coverage = &kept.coverage[&object_type];
        assert!(
            matches!(coverage, Coverage::Complete | Coverage::NotAvailable),
            "{object_type}: {coverage:?}"
        );
    }
}

#[test]
fn a_quiet_org_is_read_whole_and_as_it_stands() {
    let sim = OktaSim::with_users(450);
    let (kept, collected) = collected(&sim);
    assert_whole(&sim, &kept);
    for object_type in all() {
        assert!(
            !kept.ids(object_type).is_empty(),
            "{object_type} is empty in the simulated org"
        );
    }
    for name in [
        "user",
        "group",
        "app",
        "policy_access",
        "group_rule",
        "network_zone",
        "idp",
    ] {
        for (id, theirs) in sim.dump(name) {
            let split = canonical(of(name), theirs.to_string().as_bytes()).unwrap();
            let ours = &kept.objects[&(of(name), id.clone())];
            assert_eq!(
                String::from_utf8_lossy(&ours.body),
                String::from_utf8_lossy(&split.body),
                "{name} {id}"
            );
        }
    }
    let role = kept
        .objects
        .iter()
        .find(|((kept, _), _)| kept.name() == "custom_role")
        .unwrap()
        .1;
    assert!(String::from_utf8_lossy(&role.body).contains("\"permissions\":[\""));
    let sent = u64::try_from(sim.requests().len()).unwrap();
    assert!(
        collected.requests_minimum <= sent,
        "{} of {sent}",
        collected.requests_minimum
    );
    assert!(sim.write_requests().is_empty());
}

#[test]
fn troubled_answers_lose_nothing() {
    let sim = OktaSim::with_users(450);
    let trouble =
        |action, share| sim.fault(Fault::on("GET", "*", action).probability(share).times(30));
    trouble(
        FaultAction::Status {
            status: 500,
            body: true,
        },
        0.1,
    );
    trouble(
        FaultAction::Status {
            status: 502,
            body: false,
        },
        0.05,
    );
    trouble(FaultAction::ResetBefore, 0.05);
    trouble(FaultAction::Truncate, 0.05);
    trouble(FaultAction::Concurrency, 0.01);
    sim.fault(
        Fault::on(
            "GET",
            "/api/v1/users",
            FaultAction::RateLimit { seconds: 1 },
        )
        .nth(2)
        .once(),
    );
    let (kept, _) = collected(&sim);
    assert_whole(&sim, &kept);
}

#[test]
fn revoked_tokens_and_expired_cursors_lose_nothing() {
    let sim = OktaSim::with_users(450);
    sim.fault(
        Fault::on("GET", "/api/v1/users", FaultAction::RevokeTokens)
            .nth(2)
            .once(),
    );
    sim.fault(
        Fault::on("GET", "/api/v1/groups/*/users", FaultAction::RevokeTokens)
            .nth(3)
            .once(),
    );
    sim.fault(
        Fault::on("GET", "/api/v1/users", FaultAction::ExpireCursors)
            .nth(3)
            .once(),
    );
    sim.fault(
        Fault::on("GET", "/api/v1/apps/*/users", FaultAction::ExpireCursors)
            .nth(2)
            .times(3),
    );
    let (kept, _) = collected(&sim);
    assert_whole(&sim, &kept);
}

#[test]
fn objects_that_move_between_pages_are_not_lost() {
    let sim = OktaSim::with_users(900);
    sim.fault(
        Fault::on(
            "GET",
            "/api/v1/users",
            FaultAction::MoveObjects { count: 40 },
        )
        .once(),
    );
    let (kept, _) = collected(&sim);
    assert_whole(&sim, &kept);
}

#[test]
fn what_changes_during_the_sweep_is_read_again() {
    let sim = OktaSim::builder()
        .users(450)
        .seed(7)
        .log_delay(Duration::from_millis(40))
        .start()
        .unwrap();
    let users = sim.ids("user");
    let groups = sim.dump("group");
    let ours = groups
        .iter()
        .filter(|(_, group)| group["type"] == "OKTA_GROUP")
        .map(|(id, _)| id.clone());
    let groups: Vec<String> = ours.collect();
    let active: Vec<String> = sim
        .dump("user")
        .into_iter()
        .filter(|(_, user)| user["status"] == "ACTIVE")
        .map(|(id, _)| id)
        .collect();
    let change = |method: &str, path: String, body| Change {
        method: method.to_owned(),
        path,
        body,
    };
    let profile = json!({"profile": {"firstName": "New", "lastName": "One", "email": "new.one@example.com", "login": "new.one@example.com"}});
    // Right after the first users were listed, and again close to the end of the sweep.
    for (nth, pattern) in [(2, "/api/v1/users"), (4, "/api/v1/apps/*/users")] {
        let group = &groups[nth];
        let requests = vec![
            change(
                "POST",
                "/api/v1/groups".to_owned(),
                Some(json!({"profile": {"name": format!("made {nth}")}})),
            ),
            change(
                "DELETE",
                format!("/api/v1/groups/{}", groups[nth + 10]),
                None,
            ),
            change(
                "POST",
                format!("/api/v1/users/{}", active[nth]),
                Some(json!({"profile": {"nickName": "moved"}})),
            ),
            change(
                "DELETE",
                format!("/api/v1/users/{}", active[nth + 20]),
                None,
            ),
            change(
                "DELETE",
                format!("/api/v1/users/{}", active[nth + 20]),
                None,
            ),
            change(
                "PUT",
                format!("/api/v1/groups/{group}/users/{}", active[nth + 30]),
                None,
            ),
        ];
        sim.fault(
            Fault::on("GET", pattern, FaultAction::Change { requests })
                .nth(u64::try_from(nth).unwrap())
                .once(),
        );
    }
    let create = vec![change(
        "POST",
        "/api/v1/users?activate=false".to_owned(),
        Some(profile),
    )];
    sim.fault(
        Fault::on(
            "GET",
            "/api/v1/meta/schemas/apps/*/default",
            FaultAction::Change { requests: create },
        )
        .once(),
    );
    let (kept, _) = collected(&sim);
    for object_type in ["user", "group", "group_member", "app_user"].map(of) {
        let (ours, theirs) = (kept.ids(object_type), ids(&sim, object_type));
        let lost: Vec<_> = theirs.difference(&ours).take(3).collect();
        let stale: Vec<_> = ours.difference(&theirs).take(3).collect();
        assert!(
            lost.is_empty() && stale.is_empty(),
            "{object_type}: lost {lost:?}, stale {stale:?}"
        );
    }
    assert_ne!(sim.ids("user"), users);
    let body = &kept.objects[&(of("user"), active[2].clone())].body;
    assert!(String::from_utf8_lossy(body).contains("\"nickName\":\"moved\""));
}

#[test]
fn missing_scopes_and_features_are_said_and_the_rest_is_read() {
    let sim = OktaSim::with_users(50);
    sim.revoke_scope("okta.idps.read");
    sim.revoke_scope("okta.idps.manage");
    sim.revoke_scope("okta.logs.read");
    sim.disable_features(["/api/v1/authorizationServers"]);
    let (kept, _) = collected(&sim);
    assert_eq!(
        kept.coverage[&of("idp")],
        Coverage::MissingScope {
            scope: "okta.idps.read".to_owned()
        }
    );
    for name in ["authorization_server", "as_scope", "as_policy_rule"] {
        assert_eq!(kept.coverage[&of(name)], Coverage::NotAvailable, "{name}");
    }
    assert_eq!(kept.coverage[&of("user")], Coverage::Complete);
    assert_eq!(kept.ids(of("user")), ids(&sim, of("user")));
    assert!(
        !sim.requests()
            .iter()
            .any(|request| request.path.starts_with("/api/v1/idps"))
    );
    assert!(
        !sim.requests()
            .iter()
            .any(|request| request.path.starts_with("/api/v1/logs"))
    );
}

#[test]
fn a_list_that_keeps_failing_leaves_its_type_incomplete_alone() {
    let sim = OktaSim::with_users(50);
    sim.fault(Fault::on(
        "GET",
        "/api/v1/zones",
        FaultAction::Status {
            status: 404,
            body: false,
        },
    ));
    sim.fault(Fault::on(
        "GET",
        "/api/v1/trustedOrigins",
        FaultAction::Status {
            status: 403,
            body: true,
        },
    ));
    let (kept, _) = collected(&sim);
    for name in ["network_zone", "trusted_origin"] {
        assert!(
            matches!(kept.coverage[&of(name)], Coverage::Incomplete { .. }),
            "{name}: {:?}",
            kept.coverage[&of(name)]
        );
    }
    assert_eq!(kept.coverage[&of("app")], Coverage::Complete);
}

#[test]
fn rate_limits_are_kept_to() {
    let sim = OktaSim::builder()
        .users(30)
        .rate_limits(RateLimits::PerMinute(300))
        .rate_limit_window(Duration::from_secs(2))
        .start()
        .unwrap();
    let (kept, _) = collected(&sim);
    assert_whole(&sim, &kept);
    let refused = sim
        .requests()
        .iter()
        .filter(|request| request.status == 429)
        .count();
    assert!(refused <= 2, "{refused} requests met an exhausted bucket");
}

#[test]
fn one_object_is_read_by_its_id() {
    let sim = OktaSim::with_users(50);
    let (kept, _) = collected(&sim);
    let api = http(&sim);
    let servers: BTreeMap<String, String> = kept
        .objects
        .values()
        .filter(|object| object.object_type == of("as_policy"))
        .map(|object| (object.id.clone(), object.parent.clone().unwrap()))
        .collect();
    for object_type in all() {
        let object = kept
            .objects
            .values()
            .find(|object| object.object_type == object_type)
            .unwrap();
        let grandparent = object
            .parent
            .as_ref()
            .and_then(|parent| servers.get(parent));
        let again = collect_one(
            &api,
            object_type,
            &object.id,
            object.parent.as_deref(),
            grandparent.map(String::as_str),
        );
        let again = again
            .unwrap()
            .unwrap_or_else(|| panic!("{object_type} {} is not found", object.id));
        assert_eq!(
            (&again.id, &again.body),
            (&object.id, &object.body),
            "{object_type}"
        );
    }
    assert_eq!(
        collect_one(&api, of("group"), "00gnonexistent", None, None).unwrap(),
        None
    );
}

#[test]
fn authorization_tells_what_is_granted() {
    let sim = OktaSim::with_users(10);
    let types: Vec<ObjectType> = all().collect();
    let ears = Arc::default();
    let all_granted = authorize(&options(&sim, secret(&sim), &ears), &types).unwrap();
    assert_eq!(all_granted.org_id, sim.org_id());
    assert_eq!(
        (all_granted.missing.len(), all_granted.restore_missing.len()),
        (0, 0),
        "{all_granted:?}"
    );
    assert!(all_granted.log_readable);
    let key = Credentials::PrivateKey {
        client_id: sim.service_client_id().to_owned(),
        key: sim.service_private_key_pem().into(),
        key_id: Some(sim.service_key_id().to_owned()),
    };
    assert_eq!(
        authorize(&options(&sim, key, &ears), &types)
            .unwrap()
            .missing,
        Vec::<String>::new()
    );
    let token = Credentials::ApiToken(sim.api_token().into());
    assert!(
        authorize(&options(&sim, token, &ears), &types)
            .unwrap()
            .api_token
    );
    for scope in ["okta.idps.read", "okta.idps.manage", "okta.groups.manage"] {
        sim.revoke_scope(scope);
    }
    let some = authorize(&options(&sim, secret(&sim), &ears), &types).unwrap();
    assert_eq!(some.missing, ["okta.idps.read"]);
    assert_eq!(
        some.restore_missing,
        ["okta.groups.manage", "okta.idps.manage"]
    );
    let wrong = Credentials::ClientSecret {
        client_id: sim.client_id().to_owned(),
        secret: "wrong".into(),
    };
    assert_eq!(
        authorize(&options(&sim, wrong, &ears), &types)
            .unwrap_err()
            .code(),
        "unauthorized"
    );
    assert!(sim.write_requests().is_empty());
}

struct Vault {
    #[expect(dead_code, reason = "holds the directory until the test ends")]
    directory: tempfile::TempDir,
    store: Store,
    domain: DomainId,
    snapshots: DomainStore,
}

fn vault() -> Vault {
    let directory = tempfile::tempdir().unwrap();
    let provider = FileProvider::open_or_create(&directory.path().join("kek"), false);
    let store = Store::open(
        Arc::new(Memory::default()),
        &directory.path().join("index.db"),
    )
    .unwrap();
    let domain = DomainId::random().unwrap();
    store.create_domain_keys(domain, &provider).unwrap();
    let snapshots = store.open_domain(domain, &provider).unwrap();
    Vault {
        directory,
        store,
        domain,
        snapshots,
    }
}

fn quick() -> BackupOptions {
    BackupOptions {
        collect: CollectOptions {
            log_settle: Duration::from_millis(50),
            ..CollectOptions::default()
        },
    }
}

#[test]
fn backups_of_an_unchanged_org_change_nothing_and_deletions_are_confirmed() {
    let sim = OktaSim::with_users(300);
    let vault = vault();
    let run = || {
        backup(
            &http(&sim),
            &vault.snapshots,
            &quick(),
            &SystemClock,
            &Ears::default(),
        )
        .unwrap()
    };
    let first = run();
    assert_eq!(first.outcome, Outcome::Succeeded, "{:?}", first.warnings);
    let second = run();
    assert_eq!(second.snapshot.changes, 0);
    assert_eq!(second.snapshot.objects, first.snapshot.objects);
    let gone: Vec<String> = sim.ids("user").into_iter().take(3).collect();
    for user in &gone {
        assert!(sim.admin().delete_user(user).is_success());
    }
    let third = run();
    assert_eq!(third.outcome, Outcome::Succeeded, "{:?}", third.warnings);
    assert_eq!(
        third.snapshot.counts[&of("user")],
        second.snapshot.counts[&of("user")] - 3
    );
    let reader = vault.snapshots.reader(third.snapshot.id).unwrap();
    for object_type in all() {
        let mut ours = BTreeSet::new();
        reader
            .ids(object_type, &mut |id, _| {
                ours.insert(id.to_owned());
                Ok(())
            })
            .unwrap();
        assert_eq!(ours, ids(&sim, object_type), "{object_type}");
    }
}

#[test]
fn losing_more_than_a_fifth_of_a_type_is_reported_and_pins_the_previous_snapshot() {
    let sim = OktaSim::with_users(120);
    let vault = vault();
    let run = || {
        backup(
            &http(&sim),
            &vault.snapshots,
            &quick(),
            &SystemClock,
            &Ears::default(),
        )
        .unwrap()
    };
    let before = run();
    for user in sim.ids("user").into_iter().take(40) {
        sim.admin().delete_user(&user);
    }
    let after = run();
    assert_eq!(after.outcome, Outcome::CompletedWithErrors);
    assert!(
        after
            .losses
            .iter()
            .any(|loss| loss.object_type == of("user") && loss.gone == 40),
        "{:?}",
        after.losses
    );
    let pinned = vault
        .store
        .snapshot_info(before.snapshot.id)
        .unwrap()
        .unwrap();
    assert!(pinned.pinned);
}

/// An org whose list of deprovisioned users shows none.
struct Blind(Http);

impl OktaApi for Blind {
    fn send(&self, call: &Call) -> Result<Reply, OktaError> {
        let mut reply = self.0.send(call)?;
        if call.path.contains("DEPROVISIONED") {
            reply.body = b"[]".to_vec();
            reply.next = None;
        }
        Ok(reply)
    }

    fn base_url(&self) -> &str {
        self.0.base_url()
    }

    fn granted_scopes(&self) -> Result<Option<Vec<String>>, OktaError> {
        self.0.granted_scopes()
    }
}

#[test]
fn what_a_list_leaves_out_is_found_by_its_id() {
    let sim = OktaSim::with_users(120);
    let deprovisioned = sim
        .dump("user")
        .values()
        .filter(|user| user["status"] == "DEPROVISIONED")
        .count();
    assert!(deprovisioned > 0);
    let vault = vault();
    let run = |api: &dyn OktaApi| {
        backup(
            api,
            &vault.snapshots,
            &quick(),
            &SystemClock,
            &Ears::default(),
        )
        .unwrap()
    };
    let before = run(&http(&sim));
    let after = run(&Blind(http(&sim)));
    assert_eq!(
        after.snapshot.counts[&of("user")],
        before.snapshot.counts[&of("user")]
    );
    assert_eq!(after.snapshot.changes, 0);
    assert_eq!(after.outcome, Outcome::Succeeded);
}

#[test]
fn a_refused_token_an_unreachable_org_and_a_cancelled_job_leave_no_snapshot() {
    let sim = OktaSim::with_users(50);
    let vault = vault();
    let ears = Arc::new(Ears::default());
    ears.cancel_at.store(30, Ordering::SeqCst);
    let api = Http::new(options(&sim, secret(&sim), &ears)).unwrap();
    let cancelled = backup(
        &api,
        &vault.snapshots,
        &quick(),
        &SystemClock,
        ears.as_ref(),
    );
    assert!(
        matches!(cancelled, Err(BackupError::Cancelled)),
        "{cancelled:?}"
    );
    sim.rotate_secrets();
    let api = http(&sim);
    let refused = backup(
        &api,
        &vault.snapshots,
        &quick(),
        &SystemClock,
        &Ears::default(),
    );
    let Err(BackupError::Okta(error)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(error.code(), "unauthorized");
    let mut gone = options(&sim, secret(&sim), &Arc::default());
    gone.attempts = 1;
    drop(sim);
    let unreachable = backup(
        &Http::new(gone).unwrap(),
        &vault.snapshots,
        &quick(),
        &SystemClock,
        &Ears::default(),
    );
    let Err(BackupError::Okta(error)) = unreachable else {
        panic!("{unreachable:?}")
    };
    assert_eq!(error.code(), "unreachable");
    assert!(vault.store.snapshots(vault.domain).unwrap().is_empty());
}

#[test]
fn an_org_behind_a_private_authority_is_read_with_its_certificate_and_refused_without() {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let sim = OktaSim::builder()
        .users(10)
        .tls(&certificate.pem(), &key.serialize_pem())
        .start()
        .unwrap();
    let types: Vec<ObjectType> = all().collect();
    let mut options = options(&sim, secret(&sim), &Arc::default());
    options.attempts = 1;
    let refused = authorize(&options, &types).unwrap_err();
    assert_eq!(refused.code(), "unreachable");
    let hint = refused.hint().unwrap();
    assert!(
        hint.contains("certificate") && hint.contains("SSL_CERT_FILE"),
        "{hint}"
    );
    options.extra_ca = vec![authority.pem().into_bytes()];
    let authorized = authorize(&options, &types).unwrap();
    assert_eq!(authorized.missing, Vec::<String>::new());
}
