//! The resources of template.yaml that have a price. They are counted in its text, so that the bill follows it.

use std::path::Path;

use anyhow::{Context, Result};

use crate::figures::number;

#[derive(Debug)]
pub(super) struct Template(String);

impl Template {
    pub(super) fn read() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let text = std::fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self(text))
    }

    /// The rest of each resource of this type, after its `Type` line.
    fn resources(&self, kind: &str) -> impl Iterator<Item = &str> {
        let typed = self.0.split("\n    Type: ").skip(1);
        typed.filter_map(move |resource| resource.strip_prefix(kind)?.strip_prefix('\n'))
    }

    /// A function's memory, in megabytes.
    pub(super) fn memory_mb(&self, function: &str) -> Result<f64> {
        let code = format!("      CodeUri: functions/{function}\n");
        let described = self
            .resources("AWS::Serverless::Function")
            .find(|described| described.contains(&code));
        let described = described.context("the template has no such function")?;
        let size = values(described, "MemorySize: ").next();
        Ok(size.context("a function has no memory")?.parse()?)
    }

    /// How many alarms there are.
    pub(super) fn alarms(&self) -> f64 {
        number(self.resources("AWS::CloudWatch::Alarm").count())
    }

    /// How many metrics the alarms evaluate; one that two alarms evaluate counts twice.
    pub(super) fn alarm_metrics(&self) -> f64 {
        let alarms = self.resources("AWS::CloudWatch::Alarm");
        number(
            alarms
                .map(|alarm| values(alarm, "MetricName: ").count())
                .sum(),
        )
    }

    /// How many dashboards there are.
    pub(super) fn dashboards(&self) -> f64 {
        number(self.resources("AWS::CloudWatch::Dashboard").count())
    }

    /// How many queues Lambda polls.
    pub(super) fn polled_queues(&self) -> f64 {
        number(values(&self.0, "Type: SQS").count())
    }

    /// How many pairs of a function and a table that it uses there are.
    pub(super) fn tables_of_functions(&self) -> f64 {
        let functions = self.resources("AWS::Serverless::Function");
        let tables = functions.flat_map(|function| {
            let lines = function.lines().map(str::trim);
            lines.filter(|line| line.contains("_TABLE: "))
        });
        number(tables.count())
    }
}

/// The values of the lines that start with this key.
fn values<'a>(text: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| line.trim_start().strip_prefix(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::assert_close;

    const SMALL: &str = "
Resources:
  Deliver:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/deliver
      MemorySize: 256
      Environment:
        Variables:
          HOOKS_TABLE: !Ref HooksTable
          HOOK_STATE_TABLE: !Ref HookStateTable
          QUEUE_URL: !Ref Queue
      Events:
        Deliveries:
          Type: SQS
        Calls:
          Type: HttpApi

  Ingest:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/ingest
      MemorySize: 512

  Simple:
    Type: AWS::CloudWatch::Alarm
    Properties:
      MetricName: Errors

  Sum:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Metrics:
        - Id: sum
          Expression: a + b
        - Id: a
          MetricStat:
            Metric:
              MetricName: Errors
        - Id: b
          MetricStat:
            Metric:
              MetricName: Throttles

  Dashboard:
    Type: AWS::CloudWatch::Dashboard
";

    #[test]
    fn priced_resources_are_counted() {
        let template = Template::small();
        let counts = [
            template.alarms(),
            template.alarm_metrics(),
            template.dashboards(),
            template.polled_queues(),
            template.tables_of_functions(),
        ];
        let wanted = [2.0, 3.0, 1.0, 1.0, 2.0];
        for (count, wanted) in counts.into_iter().zip(wanted) {
            assert_close(count, wanted);
        }
    }

    impl Template {
        /// A template with one of each, and an alarm of two metrics.
        pub(in crate::bill) fn small() -> Self {
            Self(SMALL.to_owned())
        }
    }

    #[test]
    fn memory_is_read_per_function() {
        let template = Template::small();
        assert_close(template.memory_mb("deliver").unwrap(), 256.0);
        assert_close(template.memory_mb("ingest").unwrap(), 512.0);
        assert!(template.memory_mb("errors").is_err());
    }

    #[test]
    fn template_has_every_priced_resource() {
        let template = Template::read().unwrap();
        for function in ["ingest", "deliver"] {
            assert!(template.memory_mb(function).unwrap() >= 128.0, "{function}");
        }
        assert!(template.alarm_metrics() >= template.alarms());
        let counts = [
            template.alarms(),
            template.dashboards(),
            template.polled_queues(),
            template.tables_of_functions(),
        ];
        assert!(counts.iter().all(|count| *count >= 1.0), "{counts:?}");
    }
}
