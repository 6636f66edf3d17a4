//! Users, groups, apps and what hangs on them.

use http::Method;
use serde_json::{Value, json};

use super::checked::{Checked, id};

/// Reads, writes and deletes of every type.
pub(crate) fn exercise(checked: &mut Checked) {
    checked.call(Method::GET, "/.well-known/okta-organization", None);
    checked.org_and_schemas();
    checked.users();
    checked.groups();
    checked.rules();
    checked.apps();
    checked.log();
}

impl Checked<'_> {
    fn org_and_schemas(&mut self) {
        let org = self.call(Method::GET, "/api/v1/org", None).unwrap();
        let company = json!({"companyName": org["companyName"], "website": "https://example.com"});
        self.call(Method::PUT, "/api/v1/org", Some(company));
        self.call(Method::POST, "/api/v1/org", Some(json!({"city": "Oslo"})));

        self.read("/api/v1/meta/types/user");
        let user_type = json!({"name": "robot", "displayName": "Robot", "description": "d"});
        let path = self.make("/api/v1/meta/types/user", &user_type);
        self.call(
            Method::POST,
            &path,
            Some(json!({"displayName": "Robots", "description": "e"})),
        );
        self.live_and_die(&path, &user_type, &[], true);

        let custom = json!({"definitions": {"custom": {"properties": {
            "badge": {"title": "Badge", "type": "string", "description": "d", "maxLength": 20},
        }}}});
        let app = self.some("app_user_schema");
        for schema in [
            "/api/v1/meta/schemas/user/default".to_owned(),
            "/api/v1/meta/schemas/group/default".to_owned(),
            format!("/api/v1/meta/schemas/apps/{app}/default"),
        ] {
            self.call(Method::GET, &schema, None);
            self.call(Method::POST, &schema, Some(custom.clone()));
        }

        let linked = json!({
            "primary": {"name": "buddy", "title": "Buddy", "description": "d", "type": "USER"},
            "associated": {"name": "newcomer", "title": "Newcomer", "description": "d", "type": "USER"},
        });
        let list = "/api/v1/meta/schemas/user/linkedObjects";
        self.call(Method::POST, list, Some(linked));
        self.call(Method::GET, list, None);
        self.call(Method::GET, &format!("{list}/buddy"), None);
        self.call(Method::DELETE, &format!("{list}/buddy"), None);

        let mapping = self
            .read("/api/v1/mappings?limit=5")
            .pop()
            .unwrap_or_default();
        let patch = json!({"properties": {"nickName": {"expression": "user.firstName", "pushStatus": "PUSH"}}});
        self.call(Method::POST, &mapping, Some(patch));
    }

    fn users(&mut self) {
        for target in [
            "/api/v1/users?limit=200",
            "/api/v1/users?limit=200&filter=status%20eq%20%22DEPROVISIONED%22",
            "/api/v1/users?limit=10&search=profile.department%20pr",
        ] {
            self.read(target);
        }
        let profile = json!({
            "login": "robin.doe@example.com",
            "email": "robin.doe@example.com",
            "firstName": "Robin",
            "lastName": "Doe",
        });
        let path = self.make("/api/v1/users?activate=false", &json!({"profile": profile}));
        self.call(
            Method::POST,
            &path,
            Some(json!({"profile": {"title": "Engineer"}})),
        );
        self.call(Method::PUT, &path, Some(json!({"profile": profile})));
        self.call(Method::GET, &format!("{path}/groups"), None);
        for step in [
            "activate?sendEmail=false",
            "reactivate?sendEmail=false",
            "deactivate?sendEmail=false",
        ] {
            self.call(Method::POST, &format!("{path}/lifecycle/{step}"), None);
        }
        self.call(Method::DELETE, &path, None);

        let with_password =
            json!({"profile": profile, "credentials": {"password": {"value": "Str0ng-enough!"}}});
        let path = self.make("/api/v1/users?activate=true", &with_password);
        for step in [
            "suspend",
            "unsuspend",
            "reset_factors",
            "expire_password",
            "reset_password?sendEmail=false",
        ] {
            self.call(Method::POST, &format!("{path}/lifecycle/{step}"), None);
        }
        self.call(Method::DELETE, &path, None);
        self.call(Method::DELETE, &path, None);
        let locked = self.user_who_is("LOCKED_OUT");
        self.call(
            Method::POST,
            &format!("/api/v1/users/{locked}/lifecycle/unlock"),
            None,
        );
    }

    fn groups(&mut self) {
        for target in [
            "/api/v1/groups?limit=200",
            "/api/v1/groups?limit=5&expand=stats",
            "/api/v1/groups?limit=5&filter=type%20eq%20%22OKTA_GROUP%22",
        ] {
            for group in self.read(target).into_iter().take(3) {
                self.call(Method::GET, &format!("{group}/users?limit=100"), None);
                self.call(Method::GET, &format!("{group}/apps"), None);
            }
        }
        let group = json!({"profile": {"name": "Robots", "description": "d"}});
        let path = self.make("/api/v1/groups", &group);
        let member = self.some("user");
        self.call(Method::PUT, &format!("{path}/users/{member}"), None);
        self.call(Method::DELETE, &format!("{path}/users/{member}"), None);
        self.live_and_die(&path, &group, &[], true);
    }

    fn rules(&mut self) {
        self.read("/api/v1/groups/rules?limit=50");
        let group = self.make("/api/v1/groups", &json!({"profile": {"name": "Ruled"}}));
        let group = group.rsplit('/').next().unwrap().to_owned();
        let rule = json!({
            "type": "group_rule",
            "name": "Robots",
            "conditions": {
                "people": {"users": {"exclude": []}, "groups": {"exclude": []}},
                "expression": {"value": "user.department==\"Robotics\"", "type": "urn:okta:expression:1.0"},
            },
            "actions": {"assignUserToGroups": {"groupIds": [group]}},
        });
        let path = self.make("/api/v1/groups/rules", &rule);
        self.live_and_die(&path, &rule, &["activate", "deactivate"], true);
    }

    fn apps(&mut self) {
        for app in self.read("/api/v1/apps?limit=200") {
            for user in self.list(&format!("{app}/users?limit=5")).iter().take(2) {
                self.call(Method::GET, &format!("{app}/users/{}", id(user)), None);
            }
            for group in self.list(&format!("{app}/groups?limit=20")).iter().take(2) {
                self.call(Method::GET, &format!("{app}/groups/{}", id(group)), None);
            }
        }
        let access = self.some("policy_access");
        let (group, user) = (self.some("group"), self.user_who_is("ACTIVE"));
        for app in new_apps() {
            let path = self.make("/api/v1/apps?activate=true", &app);
            self.call(Method::PUT, &format!("{path}/policies/{access}"), None);
            self.call(Method::GET, &path, None);
            self.call(
                Method::PUT,
                &format!("{path}/groups/{group}"),
                Some(json!({"priority": 0})),
            );
            let assigned = format!("{path}/users/{user}");
            self.call(
                Method::POST,
                &format!("{path}/users"),
                Some(json!({"id": user, "scope": "USER"})),
            );
            self.call(
                Method::POST,
                &assigned,
                Some(json!({"credentials": {"userName": "robin"}})),
            );
            self.call(Method::DELETE, &format!("{path}/groups/{group}"), None);
            self.call(Method::DELETE, &format!("{assigned}?sendEmail=false"), None);
            self.live_and_die(&path, &app, &["deactivate", "activate", "deactivate"], true);
        }
    }

    fn user_who_is(&self, status: &str) -> String {
        let users = self.sim.dump("user");
        let found = users.iter().find(|(_, user)| user["status"] == status);
        found.map(|(id, _)| id.clone()).unwrap()
    }

    fn log(&mut self) {
        self.call(Method::GET, "/api/v1/logs?limit=1000", None);
        let bounded =
            "/api/v1/logs?since=2020-01-01T00:00:00.000Z&until=2100-01-01T00:00:00.000Z&limit=50";
        self.call(Method::GET, bounded, None);
    }
}

/// One app of each sign-on mode that the org has.
fn new_apps() -> Vec<Value> {
    vec![
        json!({
            "name": "oidc_client",
            "label": "Robots web",
            "signOnMode": "OPENID_CONNECT",
            "credentials": {"oauthClient": {"token_endpoint_auth_method": "client_secret_post"}},
            "settings": {"oauthClient": {
                "redirect_uris": ["https://robots.example.com/callback"],
                "response_types": ["code"],
                "grant_types": ["authorization_code"],
                "application_type": "web",
            }},
        }),
        json!({
            "label": "Robots SAML",
            "signOnMode": "SAML_2_0",
            "settings": {"signOn": {
                "defaultRelayState": "",
                "ssoAcsUrl": "https://robots.example.com/acs",
                "recipient": "https://robots.example.com/acs",
                "destination": "https://robots.example.com/acs",
                "audience": "robots",
                "subjectNameIdTemplate": "${user.userName}",
                "subjectNameIdFormat": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
                "responseSigned": true,
                "assertionSigned": true,
                "signatureAlgorithm": "RSA_SHA256",
                "digestAlgorithm": "SHA256",
                "honorForceAuthn": true,
                "authnContextClassRef": "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
                "idpIssuer": "http://www.okta.com/${org.externalKey}",
                "requestCompressed": false,
                "allowMultipleAcsEndpoints": false,
                "attributeStatements": [],
            }},
        }),
        json!({
            "label": "Robots SWA",
            "signOnMode": "AUTO_LOGIN",
            "settings": {"signOn": {
                "redirectUrl": null,
                "loginUrl": "https://robots.example.com/login",
            }},
        }),
        json!({
            "name": "bookmark",
            "label": "Robots bookmark",
            "signOnMode": "BOOKMARK",
            "settings": {"app": {"requestIntegration": false, "url": "https://robots.example.com"}},
        }),
    ]
}
