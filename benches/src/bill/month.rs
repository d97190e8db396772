//! The bill of a month: the fixed cost, the sum for small deployments, and what optional parameters add.

use shared::metrics::{Count, Measure};

use super::{
    Dollars, MILLION,
    counts::{Work, system_log_bytes},
    prices,
    template::Template,
};
use crate::figures::{Table, counted, number, shown};

/// Hours in a month, by AWS's convention.
pub(super) const HOURS: f64 = 730.0;

/// Seconds in a month.
pub(super) const SECONDS: f64 = HOURS * 3600.0;

/// Long polls that Lambda keeps open on an empty queue. It goes below five only for mappings without
/// `MaximumConcurrency`, and all of the template's have it.
const POLLERS: f64 = 5.0;

/// Seconds until a long poll of an empty queue returns.
const POLL_S: f64 = 20.0;

/// Seconds for which DynamoDB caches a table's key per role before it calls KMS again.
const KEY_CACHED_S: f64 = 300.0;

/// Deliveries a month of the deployments that are shown.
const DELIVERIES: [usize; 3] = [10_000, 100_000, 1_000_000];

/// Requests a month to one empty queue.
fn idle_polls() -> f64 {
    POLLERS * SECONDS / POLL_S
}

/// How many custom metrics there can be. Each belongs to one function, except the three that count requests: both
/// `manage` and `ingest` have those.
fn custom_metrics() -> f64 {
    number(Count::ALL.len() + Measure::ALL.len() + 3)
}

/// Dollars a month that do not depend on use.
#[derive(Debug)]
struct Fixed {
    alarms: f64,
    dashboards: f64,
    polling: f64,
}

impl Fixed {
    fn of(template: &Template) -> Self {
        let polls = idle_polls() * template.polled_queues();
        Self {
            alarms: template.alarm_metrics() * prices::ALARM_METRIC.dollars,
            dashboards: template.dashboards() * prices::DASHBOARD.dollars,
            polling: polls * prices::QUEUE_REQUEST.dollars,
        }
    }

    fn sum(&self) -> f64 {
        self.alarms + self.dashboards + self.polling
    }
}

/// The fixed cost of a month.
pub(super) fn fixed_table(template: &Template) -> Table {
    let fixed = Fixed::of(template);
    let mut table = Table::new(["every month", "quantity", "dollars"]);
    for (what, quantity, dollars) in [
        (
            "alarms, charged per metric",
            format!(
                "{} metrics in {} alarms",
                template.alarm_metrics(),
                template.alarms()
            ),
            fixed.alarms,
        ),
        (
            "dashboard",
            template.dashboards().to_string(),
            fixed.dashboards,
        ),
        (
            "idle polling",
            format!(
                "{} requests to each of {} queues",
                shown(idle_polls()),
                template.polled_queues()
            ),
            fixed.polling,
        ),
        ("sum", String::new(), fixed.sum()),
        (
            "custom metrics, in hours with data",
            format!("up to {}", custom_metrics()),
            custom_metrics() * prices::METRIC.dollars,
        ),
    ] {
        table.row([what.to_owned(), quantity, shown(dollars)]);
    }
    table
}

/// The bill of a month for small deployments, every delivery of which is like this one.
pub(super) fn deployments_table(template: &Template, delivery: &Work) -> Table {
    let fixed = Fixed::of(template);
    let metrics = number(delivery.metrics.len());
    let monthly = [
        ("alarms".to_owned(), fixed.alarms),
        ("dashboard".to_owned(), fixed.dashboards),
        ("idle polling".to_owned(), fixed.polling),
        (
            format!("{metrics} metrics with data"),
            metrics * prices::METRIC.dollars,
        ),
    ];
    let used = Dollars::of(delivery);
    let months = DELIVERIES.map(|count| format!("{} deliveries", counted(count)));
    let columns = std::iter::once("dollars a month").chain(months.iter().map(String::as_str));
    let mut table = Table::new(columns);
    let mut row = |name: &str, dollars: &dyn Fn(f64) -> f64| {
        let cells = DELIVERIES.map(|count| shown(dollars(number(count) / MILLION)));
        table.row(std::iter::once(name.to_owned()).chain(cells));
    };
    for (name, dollars) in &monthly {
        row(name, &|_| *dollars);
    }
    for (name, dollars) in &used.0 {
        row(name, &|millions| millions * dollars);
    }
    let monthly: f64 = monthly.iter().map(|(_, dollars)| dollars).sum();
    row("sum", &|millions| monthly + millions * used.sum());
    table
}

/// What optional parameters add. Deliveries are of single events for one hook.
pub(super) fn parameters_table(template: &Template) -> Table {
    let system_logs = |invocations: f64| {
        let bytes = MILLION * invocations * system_log_bytes();
        shown(bytes * prices::LOG_BYTE.dollars)
    };
    let keys = template.tables_of_functions();
    let key_requests = keys * SECONDS / KEY_CACHED_S;
    let mut table = Table::new(["with", "what is charged", "dollars"]);
    for (with, what, dollars) in [
        (
            "`SystemLogLevel=INFO`, batches of one",
            format!(
                "{:.0} bytes of log an invocation, 2 invocations a delivery",
                system_log_bytes()
            ),
            format!("{} a million deliveries", system_logs(2.0)),
        ),
        (
            "`SystemLogLevel=INFO`, batches of ten",
            "the same, 1.1 invocations a delivery".to_owned(),
            format!("{} a million deliveries", system_logs(1.1)),
        ),
        (
            "`TableKey=managed`",
            format!(
                "a KMS request every {} minutes for each table of each function, {keys} in all",
                KEY_CACHED_S / 60.0
            ),
            format!(
                "{} a month",
                shown(key_requests * prices::KEY_REQUEST.dollars)
            ),
        ),
        (
            "subnets of a VPC",
            "one NAT gateway, and the data through it".to_owned(),
            format!(
                "{:.2} a month, {} a GB",
                HOURS * prices::NAT_HOUR.dollars,
                prices::NAT_GB.dollars
            ),
        ),
    ] {
        table.row([with.to_owned(), what, dollars]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::assert_close;

    #[test]
    fn empty_queue_gets_fifteen_polls_a_minute() {
        assert_close(idle_polls(), 15.0 * 60.0 * 730.0);
    }

    #[test]
    fn fixed_cost_counts_metrics_dashboards_and_polls() {
        let fixed = Fixed::of(&Template::small());
        assert_close(fixed.alarms, 0.3);
        assert_close(fixed.dashboards, 3.0);
        assert_close(fixed.polling, 0.2628);
        assert_close(fixed.sum(), 3.5628);
    }

    #[test]
    fn month_is_fixed_cost_metrics_and_use() {
        let template = Template::read().unwrap();
        let delivery = Work {
            gateway_requests: 1.0,
            metrics: ["JobsQueued".to_owned(), "EventsAccepted".to_owned()].into(),
            ..Work::default()
        };
        let table = deployments_table(&template, &delivery).to_string();
        let row = |name: &str| -> Vec<String> {
            let begin = format!("| {name}");
            let line = table.lines().find(|line| line.starts_with(&begin));
            let cells = line.unwrap().split('|').skip(2).take(3);
            cells.map(|cell| cell.trim().to_owned()).collect()
        };
        assert_eq!(row("API Gateway"), ["0.01", "0.10", "1.00"]);
        assert_eq!(row("2 metrics"), ["0.60", "0.60", "0.60"]);
        let monthly = Fixed::of(&template).sum() + 0.6;
        assert_eq!(
            row("sum"),
            [0.01, 0.1, 1.0].map(|used| shown(monthly + used))
        );
    }
}
