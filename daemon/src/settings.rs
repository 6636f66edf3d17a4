//! A domain's backup settings: their defaults, their limits, and how they are changed.

use orgkeep_api::domain::{Settings, SettingsPatch};
use orgkeep_engine::catalogue::{self, ObjectType};
use orgkeep_engine::retention::Retention;
use orgkeep_engine::schedule::{self, Schedule};

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingsProblem {
    /// The setting.
    pub(crate) field: &'static str,
    /// What is wrong, and what to write instead.
    pub(crate) message: String,
}

/// The settings of a new domain where nothing else is configured.
pub(crate) fn builtin() -> Settings {
    Settings {
        schedule: "@daily".to_owned(),
        timezone: "UTC".to_owned(),
        retention: "within=48h,last=5,daily=30,weekly=12,monthly=12".to_owned(),
        rate_limit_share: 50,
        full_every: "7d".to_owned(),
        types: None,
    }
}

/// `settings` with what `patch` names, checked.
pub(crate) fn patched(
    settings: &Settings,
    patch: &SettingsPatch,
) -> Result<Settings, SettingsProblem> {
    let text = |new: &Option<String>, old: &str| new.clone().unwrap_or_else(|| old.to_owned());
    let types = match &patch.types {
        None => settings.types.clone(),
        Some(types) if types.is_empty() => None,
        Some(types) => Some(types.clone()),
    };
    let changed = Settings {
        schedule: text(&patch.schedule, &settings.schedule),
        timezone: text(&patch.timezone, &settings.timezone),
        retention: text(&patch.retention, &settings.retention),
        rate_limit_share: patch.rate_limit_share.unwrap_or(settings.rate_limit_share),
        full_every: text(&patch.full_every, &settings.full_every),
        types,
    };
    check(&changed)?;
    Ok(changed)
}

/// Whether every setting makes sense.
pub(crate) fn check(settings: &Settings) -> Result<(), SettingsProblem> {
    let problem = |field, message: String| SettingsProblem { field, message };
    Schedule::parse(&settings.schedule).map_err(|error| problem("schedule", error.to_string()))?;
    schedule::time_zone(&settings.timezone)
        .map_err(|error| problem("timezone", error.to_string()))?;
    settings
        .retention
        .parse::<Retention>()
        .map_err(|error| problem("retention", error.to_string()))?;
    if !(1..=100).contains(&settings.rate_limit_share) {
        let message = "the share must be a whole number from 1 to 100 (percent)";
        return Err(problem("rate_limit_share", message.to_owned()));
    }
    if duration_seconds(&settings.full_every).is_none() {
        let message = format!(
            "`{}` is no duration: write it like 30m, 12h or 7d",
            settings.full_every
        );
        return Err(problem("full_every", message));
    }
    if let Some(types) = &settings.types {
        object_types(types).map_err(|unknown| problem("types", unknown.to_string()))?;
    }
    Ok(())
}

/// The types that the settings name: all, where they name none.
pub(crate) fn wanted_types(settings: &Settings) -> Vec<ObjectType> {
    match &settings.types {
        None => catalogue::all().collect(),
        Some(names) => object_types(names).unwrap_or_else(|_| catalogue::all().collect()),
    }
}

/// Types by their names, each once, in the catalogue's order.
pub(crate) fn object_types(names: &[String]) -> Result<Vec<ObjectType>, catalogue::UnknownType> {
    let mut types = names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<ObjectType>, _>>()?;
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

/// Reads `30m`, `12h`, `7d`; anything else, and zero, is `None`.
fn duration_seconds(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = text.get(..text.len() - 1)?;
    let number: u32 = digits
        .parse()
        .ok()
        .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
    (number > 0).then(|| u64::from(number) * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_interface() {
        let settings = builtin();
        assert_eq!(check(&settings), Ok(()));
        assert_eq!(wanted_types(&settings).len(), catalogue::all().count());
    }

    #[test]
    fn what_is_absent_from_a_patch_stays() {
        let patch = SettingsPatch {
            schedule: Some("every 15m".to_owned()),
            ..SettingsPatch::default()
        };
        let changed = patched(&builtin(), &patch).unwrap();
        assert_eq!(
            changed,
            Settings {
                schedule: "every 15m".to_owned(),
                ..builtin()
            }
        );
    }

    #[test]
    fn an_empty_list_of_types_is_all_types_again() {
        let some = Settings {
            types: Some(vec!["user".to_owned()]),
            ..builtin()
        };
        let patch = SettingsPatch {
            types: Some(Vec::new()),
            ..SettingsPatch::default()
        };
        assert_eq!(patched(&some, &patch).unwrap().types, None);
    }

    #[test]
    fn each_setting_is_refused_by_its_name() {
        let text = |text: &str| Some(text.to_owned());
        let none = SettingsPatch::default();
        let cases = [
            (
                "schedule",
                SettingsPatch {
                    schedule: text("now and then"),
                    ..none.clone()
                },
            ),
            (
                "timezone",
                SettingsPatch {
                    timezone: text("Mars/Olympus"),
                    ..none.clone()
                },
            ),
            (
                "retention",
                SettingsPatch {
                    retention: text("forever"),
                    ..none.clone()
                },
            ),
            (
                "rate_limit_share",
                SettingsPatch {
                    rate_limit_share: Some(101),
                    ..none.clone()
                },
            ),
            (
                "full_every",
                SettingsPatch {
                    full_every: text("7"),
                    ..none.clone()
                },
            ),
            (
                "full_every",
                SettingsPatch {
                    full_every: text("0d"),
                    ..none.clone()
                },
            ),
            (
                "types",
                SettingsPatch {
                    types: Some(vec!["robot".to_owned()]),
                    ..none.clone()
                },
            ),
        ];
        for (field, patch) in cases {
            assert_eq!(patched(&builtin(), &patch).unwrap_err().field, field);
        }
    }
}
