//! What can be done with a user in each status.

use serde_json::json;

use crate::{
    org::Core,
    person::Status,
    response::{Outcome, Response, no_such_path, refusal},
    users::{User, api::single, write::flag},
    wire::{Refusal, Request},
};

/// `POST /api/v1/users/{id}/lifecycle/{verb}`.
pub(crate) fn act(core: &mut Core, request: &Request, n: u32, verb: &str) -> Outcome {
    match verb {
        "activate" => activate(core, request, n),
        "reactivate" => reactivate(core, request, n),
        "deactivate" => {
            let mails = flag(request, "sendEmail", false)?;
            require(core, n, |status| status != Status::Deprovisioned)?;
            deactivate(core, n);
            if mails {
                core.mail(n, "deactivation");
            }
            Ok(Response::json(200, &json!({})))
        }
        "suspend" => step(
            core,
            n,
            &[Status::Active, Status::PasswordExpired],
            Status::Suspended,
            "user.lifecycle.suspend",
        ),
        "unsuspend" => step(
            core,
            n,
            &[Status::Suspended],
            Status::Active,
            "user.lifecycle.unsuspend",
        ),
        "unlock" => step(
            core,
            n,
            &[Status::LockedOut],
            Status::Active,
            "user.account.unlock_by_admin",
        ),
        "expire_password" => {
            step(
                core,
                n,
                &[Status::Active, Status::PasswordExpired, Status::Recovery],
                Status::PasswordExpired,
                "user.account.expire_password",
            )?;
            Ok(Response::text(200, single(core, request, n)?))
        }
        "expire_password_with_temp_password" => {
            step(
                core,
                n,
                &[Status::Active, Status::PasswordExpired, Status::Recovery],
                Status::PasswordExpired,
                "user.account.expire_password",
            )?;
            Ok(Response::json(
                200,
                &json!({"tempPassword": core.ids.fresh("tmp")}),
            ))
        }
        "reset_password" => reset_password(core, request, n),
        "reset_factors" => {
            core.user_event("user.mfa.factor.reset_all", n);
            Ok(Response::json(200, &json!({})))
        }
        _ => Err(no_such_path()),
    }
}

/// `POST /api/v1/users/{id}/credentials/{verb}`.
pub(crate) fn credentials(core: &mut Core, request: &Request, n: u32, verb: &str) -> Outcome {
    match verb {
        "forgot_password" => {
            let mails = flag(request, "sendEmail", true)?;
            require(core, n, |status| {
                matches!(
                    status,
                    Status::Active | Status::Recovery | Status::LockedOut
                )
            })?;
            change(core, n, Status::Recovery);
            core.user_event("user.account.reset_password", n);
            answer_or_mail(core, n, mails, "resetPasswordUrl")
        }
        _ => Err(no_such_path()),
    }
}

fn activate(core: &mut Core, request: &Request, n: u32) -> Outcome {
    let mails = flag(request, "sendEmail", true)?;
    let status = status_of(core, n)?;
    if !matches!(status, Status::Staged | Status::Deprovisioned) {
        return Err(refusal(
            403,
            "E0000016",
            "Activation failed because the user is already active",
        ));
    }
    let ready = user(core, n)?.has_password && status == Status::Staged;
    change(
        core,
        n,
        if ready {
            Status::Active
        } else {
            Status::Provisioned
        },
    );
    core.enter_everyone(n);
    core.user_event("user.lifecycle.activate", n);
    core.apply_rules_to(n);
    if mails {
        core.mail(n, "activation");
        return Ok(Response::json(200, &json!({})));
    }
    Ok(activation(core, request))
}

fn reactivate(core: &mut Core, request: &Request, n: u32) -> Outcome {
    let mails = flag(request, "sendEmail", false)?;
    require(core, n, |status| {
        matches!(status, Status::Provisioned | Status::Recovery)
    })?;
    core.user_event("user.lifecycle.reactivate", n);
    if mails {
        core.mail(n, "activation");
        return Ok(Response::json(200, &json!({})));
    }
    Ok(activation(core, request))
}

fn activation(core: &mut Core, request: &Request) -> Response {
    let token = core.ids.fresh("act");
    let url = format!("{}/welcome/{token}", request.base_url);
    Response::json(
        200,
        &json!({"activationUrl": url, "activationToken": token}),
    )
}

fn reset_password(core: &mut Core, request: &Request, n: u32) -> Outcome {
    if request.param("sendEmail").is_none() {
        return Err(Refusal::validation(
            "sendEmail",
            "The parameter is required.",
        ));
    }
    let mails = flag(request, "sendEmail", true)?;
    require(core, n, |status| {
        !matches!(
            status,
            Status::Deprovisioned | Status::Staged | Status::Suspended
        )
    })?;
    change(core, n, Status::Recovery);
    core.user_event("user.account.reset_password", n);
    answer_or_mail(core, n, mails, "resetPasswordUrl")
}

fn answer_or_mail(core: &mut Core, n: u32, mails: bool, key: &str) -> Outcome {
    if mails {
        core.mail(n, "password_reset");
        return Ok(Response::json(200, &json!({})));
    }
    let token = core.ids.fresh("rst");
    Ok(Response::json(
        200,
        &json!({ key: format!("/signin/reset-password/{token}") }),
    ))
}

fn step(core: &mut Core, n: u32, from: &[Status], to: Status, event_type: &str) -> Outcome {
    require(core, n, |status| from.contains(&status))?;
    change(core, n, to);
    core.user_event(event_type, n);
    Ok(Response::json(200, &json!({})))
}

/// `DELETE /api/v1/users/{id}`: the first call deactivates, the second deletes.
pub(crate) fn delete(core: &mut Core, n: u32) {
    let Ok(status) = status_of(core, n) else {
        return;
    };
    if status != Status::Deprovisioned {
        deactivate(core, n);
        return;
    }
    core.user_event("user.lifecycle.delete.initiated", n);
    core.user_event("user.lifecycle.delete.completed", n);
    core.erase_user(n);
    core.forget_user(n);
}

/// Deactivates: memberships and assignments go.
fn deactivate(core: &mut Core, n: u32) {
    core.user_event("user.lifecycle.deactivate", n);
    core.leave_everything(n);
    change(core, n, Status::Deprovisioned);
}

fn change(core: &mut Core, n: u32, to: Status) {
    let Some(user) = core.users.get(n) else {
        return;
    };
    let mut user = user.to_user(&core.ids);
    let now = core.clock.second();
    if user.status != to {
        user.times.status_changed = Some(now);
    }
    if user.status == Status::Staged || user.status == Status::Deprovisioned {
        user.times.activated = Some(now);
    }
    user.status = to;
    user.times.last_updated = now;
    if to == Status::Deprovisioned {
        user.has_password = false;
    }
    core.put_user(n, user);
}

fn user(core: &Core, n: u32) -> Result<User, Refusal> {
    core.users
        .get(n)
        .map(|user| user.to_user(&core.ids))
        .ok_or_else(|| Refusal::not_found(&core.user_id(n), "User"))
}

fn status_of(core: &Core, n: u32) -> Result<Status, Refusal> {
    core.users
        .get(n)
        .map(|user| user.status())
        .ok_or_else(|| Refusal::not_found(&core.user_id(n), "User"))
}

fn require(core: &Core, n: u32, allowed: impl Fn(Status) -> bool) -> Result<(), Refusal> {
    if allowed(status_of(core, n)?) {
        return Ok(());
    }
    Err(refusal(
        403,
        "E0000038",
        "This operation is not allowed in the user's current status.",
    ))
}
