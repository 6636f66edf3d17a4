//! The table of configuration resources: what each one is, as data.
//!
//! A resource that behaves like the others is an entry here and nothing else; what one type alone does stands in
//! [`special`](super::special), [`policies`](super::policies) and [`roles`](super::roles).
//! Sources are Okta's OpenAPI document and recorded answers; what neither says is marked as assumed.

/// A type of configuration resource. Policies of every type share one entry, as they share one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Zone,
    Origin,
    Behavior,
    Authenticator,
    IdentityProvider,
    Server,
    Scope,
    Claim,
    ServerPolicy,
    ServerRule,
    Policy,
    Rule,
    EventHook,
    InlineHook,
    Role,
}

/// How a list is cut into pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paging {
    /// The whole list in one answer.
    Whole,
    /// By an opaque cursor.
    Cursor {
        /// Items on a page when the request names no `limit`.
        default: usize,
        /// The greatest `limit` taken; beyond it the request is refused.
        max: usize,
        /// Give a next link even on a short page, so that the last page is empty, as recorded for some lists.
        eager_next: bool,
    },
    /// Sorted by name, with the last name as the cursor; no `limit` is refused for being great.
    Name {
        /// Items on a page when the request names no `limit`.
        default: usize,
        /// The greatest number of items on a page.
        max: usize,
    },
    /// Wrapped in an object under this key, the next link in the body, with the admin host.
    Wrapped {
        /// The property that holds the items.
        items: &'static str,
        /// Items on a page.
        size: usize,
    },
}

impl Paging {
    /// How many requests it takes to list so many objects at the largest page size.
    pub(crate) fn pages(self, objects: usize) -> usize {
        let by = |size: usize| objects.div_ceil(size).max(1);
        match self {
            Self::Whole => 1,
            Self::Cursor {
                max, eager_next, ..
            } => by(max) + usize::from(eager_next && objects > 0),
            Self::Name { max, .. } => by(max),
            Self::Wrapped { size, .. } => by(size),
        }
    }
}

/// What `lifecycle/activate` and `lifecycle/deactivate` answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    /// There are no such calls.
    None,
    /// 200 with the object.
    Object,
    /// 204.
    Empty,
}

/// When an object can be deleted. System objects never can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// There is no such call.
    Never,
    /// At any time.
    Always,
    /// Only while it is `INACTIVE`.
    WhenInactive,
}

/// How timestamps are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamps {
    /// The object has none.
    None,
    /// `2025-05-14T08:49:16.000Z`.
    Iso,
    /// `2025-08-25 08:25:43.0`, as recorded for behaviors.
    Spaced,
}

/// The System Log's event types; empty where the catalogue of events has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Events {
    pub(crate) create: &'static str,
    pub(crate) update: &'static str,
    pub(crate) delete: &'static str,
    pub(crate) activate: &'static str,
    pub(crate) deactivate: &'static str,
}

/// A place in a body that names another object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference {
    /// `conditions.people.groups.include[]`.
    pub(crate) path: &'static str,
    /// The catalogue type of what is named.
    pub(crate) to: &'static str,
}

/// One resource type.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    /// The type's name in error summaries.
    pub(crate) entity: &'static str,
    /// The type of the log's target. Okta's catalogue of events does not give them for every type: partly assumed.
    pub(crate) target: &'static str,
    /// The ids' first three characters.
    pub(crate) prefix: &'static str,
    /// The path of the collection; `*` stands for a parent's id.
    pub(crate) path: &'static [&'static str],
    /// The types of the parents that `*` stands for, outermost first.
    pub(crate) parents: &'static [Kind],
    /// The scopes for GET and for everything else.
    pub(crate) scopes: (&'static str, &'static str),
    /// The status of a successful create.
    pub(crate) created: u16,
    pub(crate) paging: Paging,
    /// The query parameters that a list accepts as exact filters on a property of the same name.
    pub(crate) filters: &'static [&'static str],
    /// The properties that a request can set; all others are ignored.
    pub(crate) fields: &'static [&'static str],
    /// The properties that a create or replace must carry.
    pub(crate) required: &'static [&'static str],
    /// The properties that a replace cannot change.
    pub(crate) immutable: &'static [&'static str],
    /// The properties that are unique among siblings.
    pub(crate) unique: &'static [&'static str],
    /// The allowed values of properties.
    pub(crate) enums: &'static [(&'static str, &'static [&'static str])],
    /// What must exist. Documented for few places; assumed for all that name zones, groups, users, providers and hooks.
    pub(crate) references: &'static [Reference],
    pub(crate) lifecycle: Lifecycle,
    pub(crate) deletion: Deletion,
    pub(crate) stamps: Stamps,
    pub(crate) events: Events,
}

const STATUS: &[&str] = &["ACTIVE", "INACTIVE"];

const PEOPLE: [Reference; 4] = [
    Reference {
        path: "conditions.people.groups.include[]",
        to: "group",
    },
    Reference {
        path: "conditions.people.groups.exclude[]",
        to: "group",
    },
    Reference {
        path: "conditions.people.users.include[]",
        to: "user",
    },
    Reference {
        path: "conditions.people.users.exclude[]",
        to: "user",
    },
];

const SERVERS: (&str, &str) = (
    "okta.authorizationServers.read",
    "okta.authorizationServers.manage",
);
const POLICIES: (&str, &str) = ("okta.policies.read", "okta.policies.manage");

const POLICY_EVENTS: Events = Events {
    create: "policy.lifecycle.create",
    update: "policy.lifecycle.update",
    delete: "policy.lifecycle.delete",
    activate: "policy.lifecycle.activate",
    deactivate: "policy.lifecycle.deactivate",
};

const RULE_EVENTS: Events = Events {
    create: "policy.rule.add",
    update: "policy.rule.update",
    delete: "policy.rule.delete",
    activate: "policy.rule.activate",
    deactivate: "policy.rule.deactivate",
};

/// The policy types that this org has; the document's others belong to features it lacks.
pub(crate) const POLICY_TYPES: &[&str] = &[
    "OKTA_SIGN_ON",
    "PASSWORD",
    "MFA_ENROLL",
    "ACCESS_POLICY",
    "PROFILE_ENROLLMENT",
    "IDP_DISCOVERY",
];

/// The document's policy types of features that this org lacks.
pub(crate) const POLICY_TYPES_ABSENT: &[&str] = &[
    "ENTITY_RISK",
    "POST_AUTH_SESSION",
    "DEVICE_SIGNAL_COLLECTION",
    "SESSION_VIOLATION_DETECTION",
    "CLIENT_UPDATE",
    "IDENTITY_CLAIM_SOURCING",
];

/// Every resource type.
pub(crate) const RESOURCES: &[Resource] = &[
    Resource {
        kind: Kind::Zone,
        entity: "NetworkZone",
        target: "NetworkZone",
        prefix: "nzo",
        path: &["api", "v1", "zones"],
        parents: &[],
        scopes: ("okta.networkZones.read", "okta.networkZones.manage"),
        created: 200,
        // Recorded: 20 without a limit. The document has no maximum: assumed.
        paging: Paging::Name {
            default: 20,
            max: 200,
        },
        filters: &[],
        fields: &[
            "name",
            "type",
            "status",
            "usage",
            "gateways",
            "proxies",
            "asns",
            "locations",
            "proxyType",
            "ipServiceCategories",
            "useAsExemptList",
        ],
        required: &["name", "type"],
        immutable: &["type"],
        unique: &["name"],
        enums: &[
            ("type", &["DYNAMIC", "IP", "DYNAMIC_V2"]),
            ("usage", &["BLOCKLIST", "POLICY"]),
            ("status", STATUS),
        ],
        references: &[],
        lifecycle: Lifecycle::Object,
        deletion: Deletion::WhenInactive,
        stamps: Stamps::Iso,
        events: Events {
            create: "zone.create",
            update: "zone.update",
            delete: "zone.delete",
            activate: "zone.activate",
            deactivate: "zone.deactivate",
        },
    },
    Resource {
        kind: Kind::Origin,
        entity: "TrustedOrigin",
        target: "TrustedOrigin",
        prefix: "tos",
        path: &["api", "v1", "trustedOrigins"],
        parents: &[],
        scopes: ("okta.trustedOrigins.read", "okta.trustedOrigins.manage"),
        created: 200,
        paging: Paging::Cursor {
            default: 20,
            max: 200,
            eager_next: false,
        },
        filters: &[],
        fields: &["name", "origin", "scopes", "status"],
        required: &["name", "origin", "scopes"],
        immutable: &[],
        unique: &["name", "origin"],
        enums: &[("status", STATUS)],
        references: &[],
        lifecycle: Lifecycle::Object,
        deletion: Deletion::Always,
        stamps: Stamps::Iso,
        events: Events {
            create: "security.trusted_origin.create",
            update: "security.trusted_origin.update",
            delete: "security.trusted_origin.delete",
            activate: "security.trusted_origin.activate",
            deactivate: "security.trusted_origin.deactivate",
        },
    },
    Resource {
        kind: Kind::Behavior,
        entity: "BehaviorRule",
        target: "BehaviorRule",
        prefix: "bhv",
        path: &["api", "v1", "behaviors"],
        parents: &[],
        scopes: ("okta.behaviors.read", "okta.behaviors.manage"),
        created: 200,
        paging: Paging::Name {
            default: 10,
            max: 10,
        },
        filters: &[],
        fields: &["name", "type", "status", "settings"],
        required: &["name", "type"],
        immutable: &["type"],
        unique: &["name"],
        enums: &[
            (
                "type",
                &[
                    "ANOMALOUS_DEVICE",
                    "ANOMALOUS_IP",
                    "ANOMALOUS_LOCATION",
                    "VELOCITY",
                    "ANOMALOUS_ASN",
                ],
            ),
            ("status", STATUS),
        ],
        references: &[],
        lifecycle: Lifecycle::Object,
        deletion: Deletion::Always,
        stamps: Stamps::Spaced,
        // The catalogue of events has none for the lifecycle of behaviors: assumed to be updates.
        events: Events {
            create: "security.behavior.settings.create",
            update: "security.behavior.settings.update",
            delete: "security.behavior.settings.delete",
            activate: "security.behavior.settings.update",
            deactivate: "security.behavior.settings.update",
        },
    },
    Resource {
        kind: Kind::Authenticator,
        entity: "Authenticator",
        target: "Authenticator",
        prefix: "aut",
        path: &["api", "v1", "authenticators"],
        parents: &[],
        scopes: ("okta.authenticators.read", "okta.authenticators.manage"),
        created: 200,
        paging: Paging::Whole,
        filters: &[],
        fields: &["key", "name", "description", "settings", "provider"],
        required: &["key", "name"],
        immutable: &["key"],
        unique: &[],
        enums: &[(
            "key",
            &[
                "custom_app",
                "custom_otp",
                "duo",
                "external_idp",
                "google_otp",
                "okta_email",
                "okta_password",
                "okta_verify",
                "onprem_mfa",
                "phone_number",
                "security_key",
                "security_question",
                "smart_card_idp",
                "symantec_vip",
                "webauthn",
                "yubikey_token",
                "tac",
            ],
        )],
        references: &[
            Reference {
                path: "settings.appInstanceId",
                to: "app",
            },
            Reference {
                path: "provider.configuration.idpId",
                to: "idp",
            },
        ],
        lifecycle: Lifecycle::Object,
        deletion: Deletion::Never,
        stamps: Stamps::Iso,
        events: Events {
            create: "security.authenticator.lifecycle.create",
            update: "security.authenticator.lifecycle.update",
            delete: "",
            activate: "security.authenticator.lifecycle.activate",
            deactivate: "security.authenticator.lifecycle.deactivate",
        },
    },
    Resource {
        kind: Kind::IdentityProvider,
        entity: "IdentityProvider",
        target: "IdentityProvider",
        prefix: "0oa",
        path: &["api", "v1", "idps"],
        parents: &[],
        scopes: ("okta.idps.read", "okta.idps.manage"),
        created: 200,
        paging: Paging::Cursor {
            default: 20,
            max: 200,
            eager_next: true,
        },
        filters: &["type"],
        fields: &[
            "name",
            "type",
            "issuerMode",
            "protocol",
            "policy",
            "properties",
            "status",
        ],
        required: &["name", "type", "protocol"],
        immutable: &["type"],
        unique: &["name"],
        enums: &[
            (
                "type",
                &[
                    "AMAZON",
                    "APPLE",
                    "DISCORD",
                    "FACEBOOK",
                    "GITHUB",
                    "GITLAB",
                    "GOOGLE",
                    "IDV_CLEAR",
                    "IDV_INCODE",
                    "IDV_PERSONA",
                    "IDV_STANDARD",
                    "LINKEDIN",
                    "LOGINGOV",
                    "LOGINGOV_SANDBOX",
                    "MICROSOFT",
                    "OIDC",
                    "OKTA_INTEGRATION",
                    "PAYPAL",
                    "PAYPAL_SANDBOX",
                    "SALESFORCE",
                    "SAML2",
                    "SPOTIFY",
                    "X509",
                    "XERO",
                    "YAHOO",
                    "YAHOOJP",
                ],
            ),
            ("issuerMode", &["CUSTOM_URL", "DYNAMIC", "ORG_URL"]),
            ("status", STATUS),
        ],
        references: &[
            Reference {
                path: "policy.provisioning.groups.assignments[]",
                to: "group",
            },
            Reference {
                path: "policy.accountLink.filter.groups.include[]",
                to: "group",
            },
            Reference {
                path: "policy.accountLink.filter.users.exclude[]",
                to: "user",
            },
        ],
        lifecycle: Lifecycle::Object,
        deletion: Deletion::Always,
        stamps: Stamps::Iso,
        events: Events {
            create: "system.idp.lifecycle.create",
            update: "system.idp.lifecycle.update",
            delete: "system.idp.lifecycle.delete",
            activate: "system.idp.lifecycle.activate",
            deactivate: "system.idp.lifecycle.deactivate",
        },
    },
    Resource {
        kind: Kind::Server,
        entity: "AuthorizationServer",
        target: "AuthorizationServer",
        prefix: "aus",
        path: &["api", "v1", "authorizationServers"],
        parents: &[],
        scopes: SERVERS,
        created: 201,
        paging: Paging::Cursor {
            default: 200,
            max: 200,
            eager_next: true,
        },
        filters: &[],
        fields: &[
            "name",
            "description",
            "audiences",
            "issuerMode",
            "credentials",
            "accessTokenEncryptedResponseAlgorithm",
            "jwks",
            "jwks_uri",
        ],
        required: &["name", "audiences"],
        immutable: &[],
        unique: &["name"],
        enums: &[("issuerMode", &["CUSTOM_URL", "DYNAMIC", "ORG_URL"])],
        references: &[],
        lifecycle: Lifecycle::Empty,
        deletion: Deletion::Always,
        stamps: Stamps::Iso,
        events: Events {
            create: "oauth2.as.created",
            update: "oauth2.as.updated",
            delete: "oauth2.as.deleted",
            activate: "oauth2.as.activated",
            deactivate: "oauth2.as.deactivated",
        },
    },
    Resource {
        kind: Kind::Scope,
        entity: "OAuth2Scope",
        target: "OAuth2Scope",
        prefix: "scp",
        path: &["api", "v1", "authorizationServers", "*", "scopes"],
        parents: &[Kind::Server],
        scopes: SERVERS,
        created: 201,
        paging: Paging::Cursor {
            default: 200,
            max: 200,
            eager_next: false,
        },
        filters: &[],
        fields: &[
            "name",
            "displayName",
            "description",
            "consent",
            "default",
            "metadataPublish",
            "optional",
        ],
        required: &["name"],
        immutable: &[],
        unique: &["name"],
        enums: &[
            ("consent", &["FLEXIBLE", "IMPLICIT", "REQUIRED"]),
            ("metadataPublish", &["ALL_CLIENTS", "NO_CLIENTS"]),
        ],
        references: &[],
        lifecycle: Lifecycle::None,
        deletion: Deletion::Always,
        stamps: Stamps::None,
        events: Events {
            create: "oauth2.scope.created",
            update: "oauth2.scope.updated",
            delete: "oauth2.scope.deleted",
            activate: "",
            deactivate: "",
        },
    },
    Resource {
        kind: Kind::Claim,
        entity: "OAuth2Claim",
        target: "OAuth2Claim",
        prefix: "ocl",
        path: &["api", "v1", "authorizationServers", "*", "claims"],
        parents: &[Kind::Server],
        scopes: SERVERS,
        created: 201,
        paging: Paging::Whole,
        filters: &[],
        fields: &[
            "name",
            "status",
            "claimType",
            "valueType",
            "value",
            "conditions",
            "alwaysIncludeInToken",
            "group_filter_type",
        ],
        required: &["name", "claimType", "valueType"],
        immutable: &[],
        unique: &[],
        enums: &[
            ("claimType", &["IDENTITY", "RESOURCE"]),
            ("valueType", &["EXPRESSION", "GROUPS", "SYSTEM"]),
            ("status", STATUS),
            (
                "group_filter_type",
                &["STARTS_WITH", "EQUALS", "CONTAINS", "REGEX"],
            ),
        ],
        references: &[],
        lifecycle: Lifecycle::None,
        deletion: Deletion::Always,
        stamps: Stamps::None,
        events: Events {
            create: "oauth2.claim.created",
            update: "oauth2.claim.updated",
            delete: "oauth2.claim.deleted",
            activate: "",
            deactivate: "",
        },
    },
    Resource {
        kind: Kind::ServerPolicy,
        entity: "AuthorizationServerPolicy",
        target: "PolicyEntity",
        prefix: "00p",
        path: &["api", "v1", "authorizationServers", "*", "policies"],
        parents: &[Kind::Server],
        scopes: SERVERS,
        created: 201,
        paging: Paging::Whole,
        filters: &[],
        fields: &[
            "name",
            "type",
            "description",
            "priority",
            "status",
            "conditions",
        ],
        required: &["name", "conditions"],
        immutable: &["type"],
        unique: &["name"],
        enums: &[
            ("type", &["OAUTH_AUTHORIZATION_POLICY"]),
            ("status", STATUS),
        ],
        references: &[],
        lifecycle: Lifecycle::Empty,
        deletion: Deletion::Always,
        stamps: Stamps::Iso,
        events: POLICY_EVENTS,
    },
    Resource {
        kind: Kind::ServerRule,
        entity: "AuthorizationServerPolicyRule",
        target: "PolicyRule",
        prefix: "0pr",
        path: &[
            "api",
            "v1",
            "authorizationServers",
            "*",
            "policies",
            "*",
            "rules",
        ],
        parents: &[Kind::Server, Kind::ServerPolicy],
        scopes: SERVERS,
        created: 201,
        paging: Paging::Whole,
        filters: &[],
        fields: &[
            "name",
            "type",
            "priority",
            "status",
            "conditions",
            "actions",
        ],
        required: &["name", "conditions", "type"],
        immutable: &["type"],
        unique: &["name"],
        enums: &[("type", &["RESOURCE_ACCESS"]), ("status", STATUS)],
        references: &[
            PEOPLE[0],
            PEOPLE[1],
            PEOPLE[2],
            PEOPLE[3],
            Reference {
                path: "actions.token.inlineHook.id",
                to: "inline_hook",
            },
        ],
        lifecycle: Lifecycle::Empty,
        deletion: Deletion::Always,
        stamps: Stamps::Iso,
        events: RULE_EVENTS,
    },
    Resource {
        kind: Kind::Policy,
        entity: "Policy",
        target: "PolicyEntity",
        prefix: "00p",
        path: &["api", "v1", "policies"],
        parents: &[],
        scopes: POLICIES,
        created: 200,
        // The document gives neither default nor maximum of `limit`: both assumed.
        paging: Paging::Cursor {
            default: 100,
            max: 200,
            eager_next: false,
        },
        filters: &["type", "status"],
        fields: &[
            "name",
            "type",
            "description",
            "priority",
            "status",
            "conditions",
            "settings",
        ],
        required: &["name", "type"],
        immutable: &["type"],
        unique: &["name"],
        enums: &[("status", STATUS)],
        references: &[
            PEOPLE[0],
            PEOPLE[1],
            PEOPLE[2],
            PEOPLE[3],
            Reference {
                path: "conditions.authProvider.include[]",
                to: "app",
            },
        ],
        lifecycle: Lifecycle::Empty,
        deletion: Deletion::Always,
        stamps: Stamps::Iso,
        events: POLICY_EVENTS,
    },
    Resource {
        kind: Kind::Rule,
        entity: "PolicyRule",
        target: "PolicyRule",
        prefix: "0pr",
        path: &["api", "v1", "policies", "*", "rules"],
        parents: &[Kind::Policy],
        scopes: POLICIES,
        created: 200,
        paging: Paging::Whole,
        filters: &[],
        fields: &[
            "name",
            "type",
            "priority",
            "status",
            "conditions",
            "actions",
        ],
        required: &["name"],
        immutable: &["type"],
        unique: &["name"],
        enums: &[("status", STATUS)],
        references: &[
            PEOPLE[0],
            PEOPLE[1],
            PEOPLE[2],
            PEOPLE[3],
            Reference {
                path: "conditions.network.include[]",
                to: "network_zone",
            },
            Reference {
                path: "conditions.network.exclude[]",
                to: "network_zone",
            },
            Reference {
                path: "conditions.userType.include[]",
                to: "user_type",
            },
            Reference {
                path: "conditions.userType.exclude[]",
                to: "user_type",
            },
            Reference {
                path: "conditions.risk.behaviors[]",
                to: "behavior",
            },
            Reference {
                path: "conditions.identityProvider.idpIds[]",
                to: "idp",
            },
            Reference {
                path: "conditions.app.include[].id",
                to: "app",
            },
            Reference {
                path: "conditions.app.exclude[].id",
                to: "app",
            },
            Reference {
                path: "actions.idp.providers[].id",
                to: "idp",
            },
            Reference {
                path: "actions.profileEnrollment.targetGroupIds[]",
                to: "group",
            },
            Reference {
                path: "actions.profileEnrollment.preRegistrationInlineHooks[].inlineHookId",
                to: "inline_hook",
            },
        ],
        lifecycle: Lifecycle::Empty,
        deletion: Deletion::Always,
        stamps: Stamps::Iso,
        events: RULE_EVENTS,
    },
    Resource {
        kind: Kind::EventHook,
        entity: "EventHook",
        target: "EventHook",
        prefix: "who",
        path: &["api", "v1", "eventHooks"],
        parents: &[],
        scopes: ("okta.eventHooks.read", "okta.eventHooks.manage"),
        created: 200,
        paging: Paging::Whole,
        filters: &[],
        fields: &["name", "description", "events", "channel"],
        required: &[
            "name",
            "events",
            "events.type",
            "events.items",
            "channel",
            "channel.type",
            "channel.version",
            "channel.config",
            "channel.config.uri",
        ],
        immutable: &[],
        unique: &["name"],
        enums: &[],
        references: &[],
        lifecycle: Lifecycle::Object,
        deletion: Deletion::WhenInactive,
        stamps: Stamps::Iso,
        events: Events {
            create: "event_hook.created",
            update: "event_hook.updated",
            delete: "event_hook.deleted",
            activate: "event_hook.activated",
            deactivate: "event_hook.deactivated",
        },
    },
    Resource {
        kind: Kind::InlineHook,
        entity: "InlineHook",
        target: "InlineHook",
        prefix: "cal",
        path: &["api", "v1", "inlineHooks"],
        parents: &[],
        scopes: ("okta.inlineHooks.read", "okta.inlineHooks.manage"),
        created: 200,
        paging: Paging::Whole,
        filters: &["type"],
        fields: &["name", "type", "version", "channel"],
        required: &["name", "type", "channel", "channel.type", "channel.config"],
        immutable: &["type"],
        unique: &["name"],
        enums: &[(
            "type",
            &[
                "com.okta.import.transform",
                "com.okta.oauth2.tokens.transform",
                "com.okta.saml.tokens.transform",
                "com.okta.telephony.provider",
                "com.okta.user.credential.password.import",
                "com.okta.user.pre-registration",
            ],
        )],
        references: &[],
        lifecycle: Lifecycle::Object,
        deletion: Deletion::WhenInactive,
        stamps: Stamps::Iso,
        events: Events {
            create: "inline_hook.created",
            update: "inline_hook.updated",
            delete: "inline_hook.deleted",
            activate: "inline_hook.activated",
            deactivate: "inline_hook.deactivated",
        },
    },
    Resource {
        kind: Kind::Role,
        entity: "CustomRole",
        target: "CUSTOM_ROLE",
        prefix: "cr0",
        path: &["api", "v1", "iam", "roles"],
        parents: &[],
        scopes: ("okta.roles.read", "okta.roles.manage"),
        created: 200,
        // The size of a page is recorded for bindings only: assumed to be the same.
        paging: Paging::Wrapped {
            items: "roles",
            size: 100,
        },
        filters: &[],
        fields: &["label", "description"],
        required: &["label", "description"],
        immutable: &[],
        unique: &["label"],
        enums: &[],
        references: &[],
        lifecycle: Lifecycle::None,
        deletion: Deletion::Always,
        stamps: Stamps::Iso,
        events: Events {
            create: "iam.role.create",
            update: "iam.role.update",
            delete: "iam.role.delete",
            activate: "",
            deactivate: "",
        },
    },
];

impl Kind {
    /// The table's entry.
    #[expect(
        clippy::expect_used,
        reason = "a test proves that the table has every kind"
    )]
    pub(crate) fn resource(self) -> &'static Resource {
        RESOURCES
            .iter()
            .find(|resource| resource.kind == self)
            .expect("the table has every kind")
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, RESOURCES};

    #[test]
    fn the_table_has_every_kind_once_in_order() {
        let kinds: Vec<Kind> = RESOURCES.iter().map(|resource| resource.kind).collect();
        let mut sorted = kinds.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(kinds, sorted);
        assert_eq!(kinds.len(), Kind::Role as usize + 1);
        assert!(kinds.iter().all(|kind| kind.resource().kind == *kind));
    }
}
