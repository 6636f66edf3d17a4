//! Behavior detection rules.

use serde_json::{Map, Value, json};

use super::json::{at, fill, object_at, text};
use crate::wire::Refusal;

pub(crate) fn behavior(draft: &mut Map<String, Value>) -> Result<(), Refusal> {
    let history =
        json!({"settings": {"maxEventsUsedForEvaluation": 20, "minEventsNeededForEvaluation": 0}});
    match text(draft, "type") {
        "VELOCITY" => fill(draft, &json!({"settings": {"velocityKph": 805}})),
        "ANOMALOUS_LOCATION" => {
            fill(draft, &history);
            if at(draft, "settings.granularity").is_none() {
                return Err(Refusal::validation(
                    "settings.granularity",
                    "The field cannot be left blank",
                ));
            }
        }
        "ANOMALOUS_IP" => fill(
            draft,
            &json!({"settings": {"maxEventsUsedForEvaluation": 50, "minEventsNeededForEvaluation": 0}}),
        ),
        _ => fill(draft, &history),
    }
    // Recorded: sent as 20, answered as 20.0.
    if let Some(settings) = object_at(draft, "settings")
        && let Some(radius) = settings.get("radiusKilometers").and_then(Value::as_f64)
    {
        settings.insert("radiusKilometers".to_owned(), json!(radius));
    }
    Ok(())
}
