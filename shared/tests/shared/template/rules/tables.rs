//! What becomes of tables.

use yaml_rust2::Yaml;

use super::{Complaints, is_choice, is_equality};
use crate::template::Template;

/// A table whose earlier states nobody may want back: with an idempotency record of an hour ago, events of since then
/// are published twice.
const NOT_TO_BE_RESTORED: &str = "ClaimsTable";

pub(super) fn tables(template: &Template, complaints: &mut Complaints) {
    let protection = &template["Parameters"]["DeletionProtection"];
    // Else a first deployment that fails could not take its tables back, and the next would find them there.
    let at_first = protection["Default"].as_str() == Some("false");
    complaints.unless(at_first, "DeletionProtection", "on at the first deployment");
    let owned = template["Parameters"]["TableKey"]["Default"].as_str() == Some("owned");
    complaints.unless(owned, "TableKey", "a key that costs something by default");
    let managed = is_equality(
        &template["Conditions"]["ManagesTableKey"],
        "TableKey",
        "managed",
    );
    complaints.unless(managed, "ManagesTableKey", "not what TableKey says");
    for table in template.resources("AWS::DynamoDB::Table") {
        let resource = &template["Resources"][table];
        for (policy, wanted) in [
            ("DeletionPolicy", "RetainExceptOnCreate"),
            ("UpdateReplacePolicy", "Retain"),
        ] {
            let retained = resource[policy].as_str() == Some(wanted);
            complaints.unless(retained, table, &format!("{policy} is not {wanted}"));
        }
        let properties = &resource["Properties"];
        let protected =
            properties["DeletionProtectionEnabled"].as_str() == Some("DeletionProtection");
        complaints.unless(
            protected,
            table,
            "not protected when DeletionProtection says so",
        );
        let key = &properties["SSESpecification"]["SSEEnabled"];
        let (managed, owned) = (Yaml::Boolean(true), Yaml::Boolean(false));
        let chosen = is_choice(key, "ManagesTableKey", &managed, &owned);
        complaints.unless(
            chosen,
            table,
            "not encrypted with the key that TableKey says",
        );
        let shared = &properties["ResourcePolicy"];
        complaints.unless(
            shared.is_badvalue(),
            table,
            "others than our roles may use it",
        );
        let recovery = &properties["PointInTimeRecoverySpecification"];
        let recovers = recovery["PointInTimeRecoveryEnabled"].as_bool() == Some(true);
        let as_wanted = recovers == (table != NOT_TO_BE_RESTORED);
        complaints.unless(as_wanted, table, "point-in-time recovery is wrong");
    }
}
