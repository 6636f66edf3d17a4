//! The entries.
//!
//! From Okta's OpenAPI description (2026.06), its developer documentation and recorded answers. Where a page
//! size has no documented maximum, none is sent: a value that is too large is refused. Where nothing is
//! said about the target types of the System Log, the type is listed again when one of its events is seen.

use super::{
    Attachment, Entry, IdRule, Lifecycle, Listing, NaturalKey, Reference, ReferenceForm,
    RestoreClass, SystemMark, UpdateStyle,
};

/// What most entries share.
const BASE: Entry = Entry {
    name: "",
    code: 0,
    class: RestoreClass::Create,
    restore_order: 0,
    parents: &[],
    read_scope: "",
    manage_scope: "",
    listing: Listing::Pages(&[]),
    items_property: None,
    get: None,
    create: None,
    relate: None,
    update: UpdateStyle::Never,
    delete: None,
    lifecycle: None,
    id: IdRule::Field("id"),
    bare_relation: false,
    name_paths: NAME_PATHS,
    natural_key: NaturalKey::Fields(&["name"]),
    observed: &[],
    read_only: &["id", "created", "lastUpdated"],
    secrets: &[],
    references: &[],
    system: &[],
    skip_parents: &[],
    attachment: None,
    log_events: &[],
    log_targets: &[],
};

/// The interface's rule for every type: login, `profile.name`, label or name.
const NAME_PATHS: &[&str] = &["profile.login", "profile.name", "label", "name"];

const SCHEMA_READ_ONLY: &[&str] = &[
    "id",
    "$schema",
    "created",
    "lastUpdated",
    "name",
    "type",
    "title",
    "definitions.base.id",
    "definitions.base.required",
    "definitions.base.type",
    "definitions.custom.id",
    "definitions.custom.required",
    "definitions.custom.type",
];

const SYSTEM_UPDATABLE: &[SystemMark] = &[SystemMark {
    path: "system",
    values: &["true"],
    updatable: true,
}];

const fn id(path: &'static str, to: &'static [&'static str]) -> Reference {
    Reference {
        path,
        to,
        form: ReferenceForm::Id,
    }
}

const fn key(path: &'static str, to: &'static [&'static str]) -> Reference {
    Reference {
        path,
        to,
        form: ReferenceForm::Key,
    }
}

const fn expression(path: &'static str, to: &'static [&'static str]) -> Reference {
    Reference {
        path,
        to,
        form: ReferenceForm::Expression,
    }
}

const fn lifecycle(activate: &'static str, deactivate: &'static str) -> Lifecycle {
    Lifecycle {
        path: "status",
        activate,
        deactivate,
        created_as: None,
        update_only_inactive: false,
        delete_only_inactive: false,
    }
}

const POLICY_LIFECYCLE: Option<Lifecycle> = Some(lifecycle(
    "/api/v1/policies/{id}/lifecycle/activate",
    "/api/v1/policies/{id}/lifecycle/deactivate",
));

/// What the policy types share; they differ in the `type` of the list and in what they refer to.
const POLICY: Entry = Entry {
    restore_order: 75,
    read_scope: "okta.policies.read",
    manage_scope: "okta.policies.manage",
    get: Some("/api/v1/policies/{id}"),
    create: Some("/api/v1/policies"),
    update: UpdateStyle::Replace("/api/v1/policies/{id}"),
    delete: Some("/api/v1/policies/{id}"),
    lifecycle: POLICY_LIFECYCLE,
    system: SYSTEM_UPDATABLE,
    log_events: &["policy.lifecycle."],
    log_targets: &["PolicyEntity"],
    ..BASE
};

/// Every type, in restore order.
pub(super) const TABLE: &[Entry] = &[
    Entry {
        name: "org_setting",
        code: 1,
        class: RestoreClass::UpdateOnly,
        restore_order: 5,
        read_scope: "okta.orgs.read",
        manage_scope: "okta.orgs.manage",
        listing: Listing::Single("/api/v1/org"),
        get: Some("/api/v1/org"),
        update: UpdateStyle::Merge("/api/v1/org"),
        id: IdRule::Org,
        natural_key: NaturalKey::Only,
        read_only: &[
            "id",
            "created",
            "lastUpdated",
            "expiresAt",
            "status",
            "subdomain",
        ],
        ..BASE
    },
    Entry {
        name: "user_type",
        code: 2,
        restore_order: 10,
        read_scope: "okta.userTypes.read",
        manage_scope: "okta.userTypes.manage",
        listing: Listing::Pages(&["/api/v1/meta/types/user"]),
        get: Some("/api/v1/meta/types/user/{id}"),
        create: Some("/api/v1/meta/types/user"),
        update: UpdateStyle::Merge("/api/v1/meta/types/user/{id}"),
        delete: Some("/api/v1/meta/types/user/{id}"),
        read_only: &[
            "id",
            "created",
            "createdBy",
            "default",
            "lastUpdated",
            "lastUpdatedBy",
        ],
        system: &[SystemMark {
            path: "default",
            values: &["true"],
            updatable: true,
        }],
        log_events: &[
            "directory.non_default_user_profile.",
            "directory.user_profile.",
        ],
        ..BASE
    },
    Entry {
        name: "user_schema",
        code: 3,
        class: RestoreClass::UpdateOnly,
        restore_order: 11,
        parents: &["user_type"],
        read_scope: "okta.schemas.read",
        manage_scope: "okta.schemas.manage",
        listing: Listing::OnePerParent {
            path: "/api/v1/meta/schemas/user/{parent}",
            via_link: Some("_links.schema.href"),
        },
        get: Some("/api/v1/meta/schemas/user/{id}"),
        update: UpdateStyle::Merge("/api/v1/meta/schemas/user/{id}"),
        id: IdRule::UrlTail("id"),
        natural_key: NaturalKey::Only,
        read_only: SCHEMA_READ_ONLY,
        references: &[id(
            "definitions.*.properties.*.master.priority[].value",
            &["app"],
        )],
        log_events: &[
            "directory.non_default_user_profile.",
            "directory.user_profile.",
        ],
        ..BASE
    },
    Entry {
        name: "group_schema",
        code: 4,
        class: RestoreClass::UpdateOnly,
        restore_order: 11,
        read_scope: "okta.schemas.read",
        manage_scope: "okta.schemas.manage",
        listing: Listing::Single("/api/v1/meta/schemas/group/default"),
        get: Some("/api/v1/meta/schemas/group/default"),
        update: UpdateStyle::Merge("/api/v1/meta/schemas/group/default"),
        id: IdRule::UrlTail("id"),
        natural_key: NaturalKey::Only,
        read_only: SCHEMA_READ_ONLY,
        ..BASE
    },
    Entry {
        name: "linked_object_definition",
        code: 5,
        restore_order: 12,
        read_scope: "okta.linkedObjects.read",
        manage_scope: "okta.linkedObjects.manage",
        listing: Listing::Pages(&["/api/v1/meta/schemas/user/linkedObjects"]),
        get: Some("/api/v1/meta/schemas/user/linkedObjects/{id}"),
        create: Some("/api/v1/meta/schemas/user/linkedObjects"),
        delete: Some("/api/v1/meta/schemas/user/linkedObjects/{id}"),
        id: IdRule::Nested("primary.name"),
        natural_key: NaturalKey::Fields(&["primary.name"]),
        read_only: &[],
        log_events: &["directory.linked_object."],
        ..BASE
    },
    Entry {
        name: "network_zone",
        code: 6,
        restore_order: 25,
        read_scope: "okta.networkZones.read",
        manage_scope: "okta.networkZones.manage",
        listing: Listing::Pages(&["/api/v1/zones"]),
        get: Some("/api/v1/zones/{id}"),
        create: Some("/api/v1/zones"),
        update: UpdateStyle::Replace("/api/v1/zones/{id}"),
        delete: Some("/api/v1/zones/{id}"),
        lifecycle: Some(Lifecycle {
            delete_only_inactive: true,
            ..lifecycle(
                "/api/v1/zones/{id}/lifecycle/activate",
                "/api/v1/zones/{id}/lifecycle/deactivate",
            )
        }),
        read_only: &["id", "created", "lastUpdated", "system"],
        system: SYSTEM_UPDATABLE,
        log_events: &["zone."],
        ..BASE
    },
    Entry {
        name: "behavior",
        code: 7,
        restore_order: 25,
        read_scope: "okta.behaviors.read",
        manage_scope: "okta.behaviors.manage",
        listing: Listing::Pages(&["/api/v1/behaviors"]),
        get: Some("/api/v1/behaviors/{id}"),
        create: Some("/api/v1/behaviors"),
        update: UpdateStyle::Replace("/api/v1/behaviors/{id}"),
        delete: Some("/api/v1/behaviors/{id}"),
        lifecycle: Some(lifecycle(
            "/api/v1/behaviors/{id}/lifecycle/activate",
            "/api/v1/behaviors/{id}/lifecycle/deactivate",
        )),
        read_only: &["id", "created", "lastUpdated", "_link"],
        log_events: &["security.behavior.settings."],
        ..BASE
    },
    Entry {
        name: "trusted_origin",
        code: 8,
        restore_order: 26,
        read_scope: "okta.trustedOrigins.read",
        manage_scope: "okta.trustedOrigins.manage",
        listing: Listing::Pages(&["/api/v1/trustedOrigins?limit=200"]),
        get: Some("/api/v1/trustedOrigins/{id}"),
        create: Some("/api/v1/trustedOrigins"),
        update: UpdateStyle::Replace("/api/v1/trustedOrigins/{id}"),
        delete: Some("/api/v1/trustedOrigins/{id}"),
        lifecycle: Some(lifecycle(
            "/api/v1/trustedOrigins/{id}/lifecycle/activate",
            "/api/v1/trustedOrigins/{id}/lifecycle/deactivate",
        )),
        read_only: &["id", "created", "createdBy", "lastUpdated", "lastUpdatedBy"],
        log_events: &["security.trusted_origin."],
        ..BASE
    },
    Entry {
        name: "group",
        code: 9,
        restore_order: 30,
        read_scope: "okta.groups.read",
        manage_scope: "okta.groups.manage",
        listing: Listing::Pages(&["/api/v1/groups?limit=200"]),
        get: Some("/api/v1/groups/{id}"),
        create: Some("/api/v1/groups"),
        update: UpdateStyle::Replace("/api/v1/groups/{id}"),
        delete: Some("/api/v1/groups/{id}"),
        natural_key: NaturalKey::Fields(&["type", "profile.name"]),
        observed: &["lastMembershipUpdated"],
        read_only: &[
            "id",
            "created",
            "lastUpdated",
            "lastMembershipUpdated",
            "objectClass",
            "type",
            "source",
        ],
        references: &[id("source.id", &["app"])],
        system: &[SystemMark {
            path: "type",
            values: &["\"BUILT_IN\"", "\"APP_GROUP\""],
            updatable: false,
        }],
        log_events: &["group.lifecycle.", "group.profile.", "system.import.group."],
        log_targets: &["UserGroup"],
        ..BASE
    },
    Entry {
        name: "user",
        code: 10,
        restore_order: 35,
        read_scope: "okta.users.read",
        manage_scope: "okta.users.manage",
        // The plain list leaves deprovisioned users out.
        listing: Listing::Pages(&[
            "/api/v1/users?limit=200",
            "/api/v1/users?limit=200&filter=status%20eq%20%22DEPROVISIONED%22",
        ]),
        get: Some("/api/v1/users/{id}"),
        create: Some("/api/v1/users?activate=false"),
        update: UpdateStyle::Merge("/api/v1/users/{id}"),
        delete: Some("/api/v1/users/{id}?sendEmail=false"),
        lifecycle: Some(Lifecycle {
            created_as: Some("STAGED"),
            // The first DELETE deactivates, the second deletes.
            delete_only_inactive: true,
            ..lifecycle(
                "/api/v1/users/{id}/lifecycle/activate?sendEmail=false",
                "/api/v1/users/{id}/lifecycle/deactivate?sendEmail=false",
            )
        }),
        natural_key: NaturalKey::Fields(&["profile.login"]),
        observed: &["lastLogin"],
        read_only: &[
            "id",
            "activated",
            "created",
            "credentials.provider",
            "credentials.emails",
            "lastLogin",
            "lastUpdated",
            "passwordChanged",
            "realmId",
            "status",
            "statusChanged",
            "transitioningToStatus",
        ],
        secrets: &[
            "credentials.password",
            "credentials.recovery_question.answer",
        ],
        references: &[
            id("type.id", &["user_type"]),
            id("profile.managerId", &["user"]),
        ],
        log_events: &[
            "user.lifecycle.",
            "user.account.",
            "user.import.",
            "system.import.user.",
        ],
        log_targets: &["User"],
        ..BASE
    },
    Entry {
        name: "group_member",
        code: 11,
        class: RestoreClass::Relation,
        restore_order: 40,
        parents: &["group"],
        read_scope: "okta.groups.read",
        manage_scope: "okta.groups.manage",
        listing: Listing::UnderParent("/api/v1/groups/{parent}/users?limit=1000"),
        relate: Some("PUT /api/v1/groups/{parent}/users/{id}"),
        delete: Some("/api/v1/groups/{parent}/users/{id}"),
        id: IdRule::UnderParent("id"),
        bare_relation: true,
        natural_key: NaturalKey::Ends,
        read_only: &[],
        references: &[id("id", &["user"])],
        // Everyone holds every user. The members of other built-in and of imported groups are read, if never written.
        skip_parents: &[
            SystemMark {
                path: "type",
                values: &["\"BUILT_IN\""],
                updatable: false,
            },
            SystemMark {
                path: "profile.name",
                values: &["\"Everyone\""],
                updatable: false,
            },
        ],
        log_events: &["group.user_membership."],
        log_targets: &["UserGroup"],
        ..BASE
    },
    Entry {
        name: "group_rule",
        code: 12,
        restore_order: 45,
        read_scope: "okta.groups.read",
        manage_scope: "okta.groups.manage",
        listing: Listing::Pages(&["/api/v1/groups/rules?limit=200"]),
        get: Some("/api/v1/groups/rules/{id}"),
        create: Some("/api/v1/groups/rules"),
        // `actions` is refused or ignored: a rule with other actions is deleted and created again.
        update: UpdateStyle::Replace("/api/v1/groups/rules/{id}"),
        delete: Some("/api/v1/groups/rules/{id}"),
        lifecycle: Some(Lifecycle {
            created_as: Some("INACTIVE"),
            update_only_inactive: true,
            delete_only_inactive: true,
            ..lifecycle(
                "/api/v1/groups/rules/{id}/lifecycle/activate",
                "/api/v1/groups/rules/{id}/lifecycle/deactivate",
            )
        }),
        read_only: &["id", "created", "lastUpdated", "status", "allGroupsValid"],
        references: &[
            id("actions.assignUserToGroups.groupIds[]", &["group"]),
            id("conditions.people.users.exclude[]", &["user"]),
            id("conditions.people.groups.exclude[]", &["group"]),
            expression("conditions.expression.value", &["group"]),
        ],
        // Only what Okta itself does to a rule is logged; what admins do to it is not.
        log_events: &["group.user_membership.rule."],
        ..BASE
    },
    Entry {
        name: "event_hook",
        code: 13,
        restore_order: 46,
        read_scope: "okta.eventHooks.read",
        manage_scope: "okta.eventHooks.manage",
        listing: Listing::Pages(&["/api/v1/eventHooks"]),
        get: Some("/api/v1/eventHooks/{id}"),
        create: Some("/api/v1/eventHooks"),
        update: UpdateStyle::Replace("/api/v1/eventHooks/{id}"),
        delete: Some("/api/v1/eventHooks/{id}"),
        lifecycle: Some(Lifecycle {
            created_as: Some("ACTIVE"),
            delete_only_inactive: true,
            ..lifecycle(
                "/api/v1/eventHooks/{id}/lifecycle/activate",
                "/api/v1/eventHooks/{id}/lifecycle/deactivate",
            )
        }),
        read_only: &[
            "id",
            "channel.config.method",
            "created",
            "createdBy",
            "events.filter.eventFilterMap[].condition.version",
            "events.filter.type",
            "lastUpdated",
            "status",
            "verificationStatus",
        ],
        secrets: &["channel.config.authScheme.value"],
        log_events: &["event_hook."],
        ..BASE
    },
    Entry {
        name: "inline_hook",
        code: 14,
        restore_order: 46,
        read_scope: "okta.inlineHooks.read",
        manage_scope: "okta.inlineHooks.manage",
        listing: Listing::Pages(&["/api/v1/inlineHooks"]),
        get: Some("/api/v1/inlineHooks/{id}"),
        create: Some("/api/v1/inlineHooks"),
        update: UpdateStyle::Replace("/api/v1/inlineHooks/{id}"),
        delete: Some("/api/v1/inlineHooks/{id}"),
        lifecycle: Some(Lifecycle {
            delete_only_inactive: true,
            ..lifecycle(
                "/api/v1/inlineHooks/{id}/lifecycle/activate",
                "/api/v1/inlineHooks/{id}/lifecycle/deactivate",
            )
        }),
        // `version` is called read-only, yet recorded creations send it and the server wants it: it stays.
        read_only: &["id", "created", "lastUpdated"],
        secrets: &[
            "channel.config.authScheme.value",
            "channel.config.clientSecret",
        ],
        log_events: &["inline_hook."],
        ..BASE
    },
    Entry {
        name: "idp",
        code: 15,
        restore_order: 48,
        read_scope: "okta.idps.read",
        manage_scope: "okta.idps.manage",
        listing: Listing::Pages(&["/api/v1/idps?limit=200"]),
        get: Some("/api/v1/idps/{id}"),
        create: Some("/api/v1/idps"),
        update: UpdateStyle::Replace("/api/v1/idps/{id}"),
        delete: Some("/api/v1/idps/{id}"),
        lifecycle: Some(lifecycle(
            "/api/v1/idps/{id}/lifecycle/activate",
            "/api/v1/idps/{id}/lifecycle/deactivate",
        )),
        secrets: &["protocol.credentials.signing.privateKey"],
        references: &[
            id("policy.provisioning.groups.assignments[]", &["group"]),
            id("policy.provisioning.groups.filter[]", &["group"]),
            id("policy.accountLink.filter.groups.include[]", &["group"]),
            id("policy.accountLink.filter.users.exclude[]", &["user"]),
        ],
        log_events: &[
            "system.idp.lifecycle.create",
            "system.idp.lifecycle.update",
            "system.idp.lifecycle.delete",
            "system.idp.lifecycle.activate",
            "system.idp.lifecycle.deactivate",
        ],
        ..BASE
    },
    Entry {
        name: "authenticator",
        code: 16,
        restore_order: 50,
        read_scope: "okta.authenticators.read",
        manage_scope: "okta.authenticators.manage",
        listing: Listing::Pages(&["/api/v1/authenticators"]),
        get: Some("/api/v1/authenticators/{id}"),
        create: Some("/api/v1/authenticators"),
        update: UpdateStyle::Replace("/api/v1/authenticators/{id}"),
        lifecycle: Some(lifecycle(
            "/api/v1/authenticators/{id}/lifecycle/activate",
            "/api/v1/authenticators/{id}/lifecycle/deactivate",
        )),
        natural_key: NaturalKey::Fields(&["key"]),
        secrets: &[
            "provider.configuration.secretKey",
            "provider.configuration.sharedSecret",
        ],
        references: &[
            id("settings.appInstanceId", &["app"]),
            key("settings.oauthClientId", &["app"]),
            id("provider.configuration.idpId", &["idp"]),
        ],
        log_events: &["security.authenticator.lifecycle."],
        ..BASE
    },
    Entry {
        name: "authorization_server",
        code: 17,
        restore_order: 55,
        read_scope: "okta.authorizationServers.read",
        manage_scope: "okta.authorizationServers.manage",
        listing: Listing::Pages(&["/api/v1/authorizationServers?limit=200"]),
        get: Some("/api/v1/authorizationServers/{id}"),
        create: Some("/api/v1/authorizationServers"),
        update: UpdateStyle::Replace("/api/v1/authorizationServers/{id}"),
        delete: Some("/api/v1/authorizationServers/{id}"),
        lifecycle: Some(lifecycle(
            "/api/v1/authorizationServers/{id}/lifecycle/activate",
            "/api/v1/authorizationServers/{id}/lifecycle/deactivate",
        )),
        read_only: &[
            "id",
            "created",
            "lastUpdated",
            "issuer",
            "credentials.signing.kid",
            "credentials.signing.lastRotated",
            "credentials.signing.nextRotation",
        ],
        log_events: &["oauth2.as."],
        ..BASE
    },
    Entry {
        name: "as_scope",
        code: 18,
        restore_order: 56,
        parents: &["authorization_server"],
        read_scope: "okta.authorizationServers.read",
        manage_scope: "okta.authorizationServers.manage",
        listing: Listing::UnderParent("/api/v1/authorizationServers/{parent}/scopes?limit=200"),
        get: Some("/api/v1/authorizationServers/{parent}/scopes/{id}"),
        create: Some("/api/v1/authorizationServers/{parent}/scopes"),
        update: UpdateStyle::Replace("/api/v1/authorizationServers/{parent}/scopes/{id}"),
        delete: Some("/api/v1/authorizationServers/{parent}/scopes/{id}"),
        read_only: &["id", "system", "apiResourceId"],
        system: &[SystemMark {
            path: "system",
            values: &["true"],
            updatable: false,
        }],
        log_events: &["oauth2.scope."],
        ..BASE
    },
    Entry {
        name: "as_claim",
        code: 19,
        restore_order: 57,
        parents: &["authorization_server"],
        read_scope: "okta.authorizationServers.read",
        manage_scope: "okta.authorizationServers.manage",
        listing: Listing::UnderParent("/api/v1/authorizationServers/{parent}/claims"),
        get: Some("/api/v1/authorizationServers/{parent}/claims/{id}"),
        create: Some("/api/v1/authorizationServers/{parent}/claims"),
        update: UpdateStyle::Replace("/api/v1/authorizationServers/{parent}/claims/{id}"),
        delete: Some("/api/v1/authorizationServers/{parent}/claims/{id}"),
        natural_key: NaturalKey::Fields(&["name", "claimType"]),
        read_only: &["id", "system", "apiResourceId"],
        references: &[
            key("conditions.scopes[]", &["as_scope"]),
            expression("value", &["group"]),
        ],
        system: SYSTEM_UPDATABLE,
        log_events: &["oauth2.claim."],
        ..BASE
    },
    Entry {
        name: "policy_access",
        code: 20,
        restore_order: 58,
        listing: Listing::Pages(&["/api/v1/policies?type=ACCESS_POLICY"]),
        ..POLICY
    },
    Entry {
        name: "policy_profile_enrollment",
        code: 21,
        restore_order: 58,
        listing: Listing::Pages(&["/api/v1/policies?type=PROFILE_ENROLLMENT"]),
        ..POLICY
    },
    Entry {
        name: "app",
        code: 22,
        restore_order: 60,
        read_scope: "okta.apps.read",
        manage_scope: "okta.apps.manage",
        listing: Listing::Pages(&["/api/v1/apps?limit=200"]),
        get: Some("/api/v1/apps/{id}"),
        create: Some("/api/v1/apps"),
        update: UpdateStyle::Replace("/api/v1/apps/{id}"),
        delete: Some("/api/v1/apps/{id}"),
        lifecycle: Some(Lifecycle {
            created_as: Some("ACTIVE"),
            delete_only_inactive: true,
            ..lifecycle(
                "/api/v1/apps/{id}/lifecycle/activate",
                "/api/v1/apps/{id}/lifecycle/deactivate",
            )
        }),
        natural_key: NaturalKey::Fields(&["label", "signOnMode"]),
        // `name` is kept for templates and catalogue apps and must be left out for custom ones: the planner decides.
        read_only: &[
            "id",
            "created",
            "credentials.signing",
            "expressConfiguration",
            "features",
            "lastUpdated",
            "licensing",
            "orn",
            "settings.emOptInStatus",
            "settings.manualProvisioning",
            "settings.oauthClient.jwks.keys[].created",
            "settings.oauthClient.jwks.keys[].id",
            "settings.oauthClient.jwks.keys[].lastUpdated",
            "settings.oauthClient.jwks.keys[]._links",
            "status",
            "universalLogout",
            "visibility.appLinks",
        ],
        secrets: &[
            "credentials.oauthClient.client_secret",
            "credentials.password",
        ],
        references: &[
            Reference {
                path: "_links.accessPolicy.href",
                to: &["policy_access"],
                form: ReferenceForm::Link {
                    put: "PUT /api/v1/apps/{id}/policies/{target}",
                },
            },
            Reference {
                path: "_links.profileEnrollment.href",
                to: &["policy_profile_enrollment"],
                form: ReferenceForm::Link {
                    put: "PUT /api/v1/apps/{id}/policies/{target}",
                },
            },
            id("settings.inlineHookId", &["inline_hook"]),
            id("settings.identityStoreId", &["app"]),
            id("settings.signOn.inlineHooks[].id", &["inline_hook"]),
            id("settings.oauthClient.network.include[]", &["network_zone"]),
            id("settings.oauthClient.network.exclude[]", &["network_zone"]),
            id(
                "settings.notifications.vpn.network.include[]",
                &["network_zone"],
            ),
            id(
                "settings.notifications.vpn.network.exclude[]",
                &["network_zone"],
            ),
            id(
                "settings.oauthClient.backchannel_custom_authenticator_id",
                &["authenticator"],
            ),
            expression("settings.signOn.attributeStatements[].values[]", &["group"]),
        ],
        // Okta's own apps; every org has them and they are neither created nor deleted.
        system: &[SystemMark {
            path: "name",
            values: &[
                "\"saasure\"",
                "\"okta_admin_console\"",
                "\"okta_enduser\"",
                "\"okta_browser_plugin\"",
                "\"active_directory\"",
            ],
            updatable: false,
        }],
        log_events: &[
            "application.lifecycle.",
            "application.configuration.",
            "app.oauth2.client.lifecycle.",
        ],
        log_targets: &["AppInstance"],
        ..BASE
    },
    Entry {
        name: "app_user_schema",
        code: 23,
        class: RestoreClass::UpdateOnly,
        restore_order: 61,
        parents: &["app"],
        read_scope: "okta.schemas.read",
        manage_scope: "okta.schemas.manage",
        listing: Listing::OnePerParent {
            path: "/api/v1/meta/schemas/apps/{parent}/default",
            via_link: None,
        },
        get: Some("/api/v1/meta/schemas/apps/{parent}/default"),
        update: UpdateStyle::Merge("/api/v1/meta/schemas/apps/{parent}/default"),
        id: IdRule::UrlTailUnderParent("id"),
        natural_key: NaturalKey::Only,
        read_only: SCHEMA_READ_ONLY,
        log_events: &["directory.app_user_profile."],
        log_targets: &["AppInstance"],
        ..BASE
    },
    Entry {
        name: "profile_mapping",
        code: 24,
        class: RestoreClass::UpdateOnly,
        restore_order: 62,
        read_scope: "okta.profileMappings.read",
        manage_scope: "okta.profileMappings.manage",
        listing: Listing::PagesThenGet("/api/v1/mappings?limit=200"),
        get: Some("/api/v1/mappings/{id}"),
        update: UpdateStyle::Merge("/api/v1/mappings/{id}"),
        natural_key: NaturalKey::Fields(&["source.id", "target.id"]),
        read_only: &["id", "source", "target"],
        references: &[
            id("source.id", &["user_type", "app", "idp"]),
            id("target.id", &["user_type", "app", "idp"]),
            expression("properties.*.expression", &["app", "group"]),
        ],
        log_events: &[
            "directory.mapping.",
            "application.provision.field_mapping_rule.",
        ],
        ..BASE
    },
    Entry {
        name: "app_group_assignment",
        code: 25,
        class: RestoreClass::Relation,
        restore_order: 70,
        parents: &["app"],
        read_scope: "okta.apps.read",
        manage_scope: "okta.apps.manage",
        listing: Listing::UnderParent("/api/v1/apps/{parent}/groups?limit=200"),
        get: Some("/api/v1/apps/{parent}/groups/{id}"),
        relate: Some("PUT /api/v1/apps/{parent}/groups/{id}"),
        update: UpdateStyle::Replace("/api/v1/apps/{parent}/groups/{id}"),
        delete: Some("/api/v1/apps/{parent}/groups/{id}"),
        id: IdRule::UnderParent("id"),
        natural_key: NaturalKey::Ends,
        read_only: &["id", "lastUpdated"],
        references: &[id("id", &["group"])],
        log_events: &["group.application_assignment."],
        log_targets: &["AppInstance"],
        ..BASE
    },
    Entry {
        name: "app_user",
        code: 26,
        class: RestoreClass::Relation,
        restore_order: 71,
        parents: &["app"],
        read_scope: "okta.apps.read",
        manage_scope: "okta.apps.manage",
        listing: Listing::UnderParent("/api/v1/apps/{parent}/users?limit=500"),
        get: Some("/api/v1/apps/{parent}/users/{id}"),
        // The user's id stands in the body, with `scope` USER; an assignment through a group comes with the group.
        relate: Some("POST /api/v1/apps/{parent}/users"),
        update: UpdateStyle::Merge("/api/v1/apps/{parent}/users/{id}"),
        delete: Some("/api/v1/apps/{parent}/users/{id}?sendEmail=false"),
        id: IdRule::UnderParent("id"),
        natural_key: NaturalKey::Ends,
        observed: &["lastSync", "syncState"],
        read_only: &[
            "created",
            "externalId",
            "lastSync",
            "lastUpdated",
            "passwordChanged",
            "status",
            "statusChanged",
            "syncState",
        ],
        secrets: &["credentials.password"],
        references: &[id("id", &["user"])],
        log_events: &["application.user_membership."],
        log_targets: &["AppInstance", "AppUser"],
        ..BASE
    },
    Entry {
        name: "policy_okta_sign_on",
        code: 27,
        listing: Listing::Pages(&["/api/v1/policies?type=OKTA_SIGN_ON"]),
        references: &[
            id("conditions.people.groups.include[]", &["group"]),
            id("conditions.people.groups.exclude[]", &["group"]),
            id("conditions.people.users.include[]", &["user"]),
            id("conditions.people.users.exclude[]", &["user"]),
        ],
        ..POLICY
    },
    Entry {
        name: "policy_password",
        code: 28,
        listing: Listing::Pages(&["/api/v1/policies?type=PASSWORD"]),
        references: &[
            id("conditions.people.groups.include[]", &["group"]),
            id("conditions.people.groups.exclude[]", &["group"]),
            id("conditions.people.users.include[]", &["user"]),
            id("conditions.people.users.exclude[]", &["user"]),
            id("conditions.authProvider.include[]", &["app"]),
        ],
        ..POLICY
    },
    Entry {
        name: "policy_mfa_enroll",
        code: 29,
        listing: Listing::Pages(&["/api/v1/policies?type=MFA_ENROLL"]),
        references: &[
            id("conditions.people.groups.include[]", &["group"]),
            id("conditions.people.groups.exclude[]", &["group"]),
            id("conditions.people.users.include[]", &["user"]),
            id("conditions.people.users.exclude[]", &["user"]),
            key("settings.authenticators[].key", &["authenticator"]),
            id("settings.authenticators[].id", &["authenticator"]),
        ],
        ..POLICY
    },
    Entry {
        name: "policy_idp_discovery",
        code: 30,
        class: RestoreClass::UpdateOnly,
        listing: Listing::Pages(&["/api/v1/policies?type=IDP_DISCOVERY"]),
        create: None,
        delete: None,
        lifecycle: None,
        natural_key: NaturalKey::Only,
        ..POLICY
    },
    Entry {
        name: "policy_rule",
        code: 31,
        restore_order: 76,
        parents: &[
            "policy_okta_sign_on",
            "policy_password",
            "policy_mfa_enroll",
            "policy_access",
            "policy_profile_enrollment",
            "policy_idp_discovery",
        ],
        read_scope: "okta.policies.read",
        manage_scope: "okta.policies.manage",
        listing: Listing::UnderParent("/api/v1/policies/{parent}/rules"),
        get: Some("/api/v1/policies/{parent}/rules/{id}"),
        create: Some("/api/v1/policies/{parent}/rules"),
        update: UpdateStyle::Replace("/api/v1/policies/{parent}/rules/{id}"),
        delete: Some("/api/v1/policies/{parent}/rules/{id}"),
        lifecycle: Some(lifecycle(
            "/api/v1/policies/{parent}/rules/{id}/lifecycle/activate",
            "/api/v1/policies/{parent}/rules/{id}/lifecycle/deactivate",
        )),
        read_only: &["id", "created", "lastUpdated", "system"],
        references: &[
            id("conditions.people.groups.include[]", &["group"]),
            id("conditions.people.groups.exclude[]", &["group"]),
            id("conditions.people.users.include[]", &["user"]),
            id("conditions.people.users.exclude[]", &["user"]),
            id("conditions.network.include[]", &["network_zone"]),
            id("conditions.network.exclude[]", &["network_zone"]),
            id("conditions.userType.include[]", &["user_type"]),
            id("conditions.userType.exclude[]", &["user_type"]),
            id("conditions.risk.behaviors[]", &["behavior"]),
            id("conditions.identityProvider.idpIds[]", &["idp"]),
            id("conditions.app.include[].id", &["app"]),
            id("conditions.app.exclude[].id", &["app"]),
            expression("conditions.elCondition.condition", &["group", "user"]),
            id("actions.idp.providers[].id", &["idp"]),
            id("actions.profileEnrollment.targetGroupIds[]", &["group"]),
            id(
                "actions.profileEnrollment.preRegistrationInlineHooks[].inlineHookId",
                &["inline_hook"],
            ),
            key(
                "actions.profileEnrollment.enrollAuthenticatorTypes[]",
                &["authenticator"],
            ),
            key(
                "actions.appSignOn.verificationMethod.constraints[].*.authenticationMethods[].key",
                &["authenticator"],
            ),
            id(
                "actions.appSignOn.verificationMethod.constraints[].*.authenticationMethods[].id",
                &["authenticator"],
            ),
            id("actions.claimSourcing.*.include[]", &["idp"]),
        ],
        system: SYSTEM_UPDATABLE,
        log_events: &["policy.rule."],
        ..BASE
    },
    Entry {
        name: "as_policy",
        code: 32,
        restore_order: 78,
        parents: &["authorization_server"],
        read_scope: "okta.authorizationServers.read",
        manage_scope: "okta.authorizationServers.manage",
        listing: Listing::UnderParent("/api/v1/authorizationServers/{parent}/policies"),
        get: Some("/api/v1/authorizationServers/{parent}/policies/{id}"),
        create: Some("/api/v1/authorizationServers/{parent}/policies"),
        update: UpdateStyle::Replace("/api/v1/authorizationServers/{parent}/policies/{id}"),
        delete: Some("/api/v1/authorizationServers/{parent}/policies/{id}"),
        lifecycle: Some(lifecycle(
            "/api/v1/authorizationServers/{parent}/policies/{id}/lifecycle/activate",
            "/api/v1/authorizationServers/{parent}/policies/{id}/lifecycle/deactivate",
        )),
        // Client ids can be chosen at creation, so a restored app keeps its own.
        references: &[key("conditions.clients.include[]", &["app"])],
        system: SYSTEM_UPDATABLE,
        log_events: &["policy.lifecycle."],
        ..BASE
    },
    Entry {
        name: "as_policy_rule",
        code: 33,
        restore_order: 79,
        parents: &["as_policy"],
        read_scope: "okta.authorizationServers.read",
        manage_scope: "okta.authorizationServers.manage",
        listing: Listing::UnderParent(
            "/api/v1/authorizationServers/{grandparent}/policies/{parent}/rules",
        ),
        get: Some("/api/v1/authorizationServers/{grandparent}/policies/{parent}/rules/{id}"),
        create: Some("/api/v1/authorizationServers/{grandparent}/policies/{parent}/rules"),
        update: UpdateStyle::Replace(
            "/api/v1/authorizationServers/{grandparent}/policies/{parent}/rules/{id}",
        ),
        delete: Some("/api/v1/authorizationServers/{grandparent}/policies/{parent}/rules/{id}"),
        lifecycle: Some(lifecycle(
            "/api/v1/authorizationServers/{grandparent}/policies/{parent}/rules/{id}/lifecycle/activate",
            "/api/v1/authorizationServers/{grandparent}/policies/{parent}/rules/{id}/lifecycle/deactivate",
        )),
        references: &[
            id("conditions.people.groups.include[]", &["group"]),
            id("conditions.people.groups.exclude[]", &["group"]),
            id("conditions.people.users.include[]", &["user"]),
            id("conditions.people.users.exclude[]", &["user"]),
            key("conditions.scopes.include[]", &["as_scope"]),
            id("actions.token.inlineHook.id", &["inline_hook"]),
        ],
        system: SYSTEM_UPDATABLE,
        log_events: &["policy.rule."],
        ..BASE
    },
    Entry {
        name: "custom_role",
        code: 34,
        restore_order: 80,
        read_scope: "okta.roles.read",
        manage_scope: "okta.roles.manage",
        listing: Listing::Pages(&["/api/v1/iam/roles"]),
        items_property: Some("roles"),
        get: Some("/api/v1/iam/roles/{id}"),
        create: Some("/api/v1/iam/roles"),
        // Takes label and description; permissions are written one by one under `/permissions/{label}`.
        update: UpdateStyle::Replace("/api/v1/iam/roles/{id}"),
        delete: Some("/api/v1/iam/roles/{id}"),
        natural_key: NaturalKey::Fields(&["label"]),
        read_only: &[
            "id",
            "created",
            "lastUpdated",
            "isCloneable",
            "permissionConditions",
        ],
        // A role's own document does not tell its permissions, and no role can be created without them.
        attachment: Some(Attachment {
            property: "permissions",
            conditions_property: "permissionConditions",
            path: "/api/v1/iam/roles/{id}/permissions",
            items_property: "permissions",
            label: "label",
            conditions: "conditions",
        }),
        log_events: &["iam.role."],
        ..BASE
    },
];
