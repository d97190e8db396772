//! AWS's prices: on demand, in us-east-1, without any free tier and before any discount for volume.

/// What one of something costs, in dollars.
pub(super) struct Price {
    pub(super) what: &'static str,
    pub(super) dollars: f64,
    /// How many of it the price is shown for.
    pub(super) per: f64,
    pub(super) unit: &'static str,
    pub(super) source: &'static str,
}

/// When these were AWS's public prices. They were written down from knowledge of its price pages, which
/// a run does not read.
pub(super) const AS_OF: &str = "mid-2025";

pub(super) const GATEWAY_REQUEST: Price = Price {
    what: "API Gateway, HTTP API",
    dollars: 1.00e-6,
    per: 1e6,
    unit: "million requests of 512 KB",
    source: "https://aws.amazon.com/api-gateway/pricing/",
};

pub(super) const LAMBDA_REQUEST: Price = Price {
    what: "Lambda, requests",
    dollars: 0.20e-6,
    per: 1e6,
    unit: "million",
    source: "https://aws.amazon.com/lambda/pricing/",
};

pub(super) const LAMBDA_GB_S: Price = Price {
    what: "Lambda, arm64",
    dollars: 0.000_013_333_4,
    per: 1e6,
    unit: "million GB-seconds",
    source: "https://aws.amazon.com/lambda/pricing/",
};

pub(super) const QUEUE_REQUEST: Price = Price {
    what: "SQS, standard queues",
    dollars: 0.40e-6,
    per: 1e6,
    unit: "million requests of 64 KB",
    source: "https://aws.amazon.com/sqs/pricing/",
};

pub(super) const READ_UNIT: Price = Price {
    what: "DynamoDB on demand, reads",
    dollars: 0.125e-6,
    per: 1e6,
    unit: "million request units",
    source: "https://aws.amazon.com/dynamodb/pricing/on-demand/",
};

pub(super) const WRITE_UNIT: Price = Price {
    what: "DynamoDB on demand, writes",
    dollars: 0.625e-6,
    per: 1e6,
    unit: "million request units",
    source: "https://aws.amazon.com/dynamodb/pricing/on-demand/",
};

pub(super) const LOG_BYTE: Price = Price {
    what: "CloudWatch Logs, taken in",
    dollars: 0.50e-9,
    per: 1e9,
    unit: "GB",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};

pub(super) const TRACE: Price = Price {
    what: "X-Ray, traces recorded",
    dollars: 5.00e-6,
    per: 1e6,
    unit: "million",
    source: "https://aws.amazon.com/xray/pricing/",
};

pub(super) const METRIC: Price = Price {
    what: "CloudWatch, custom metrics",
    dollars: 0.30,
    per: 1.0,
    unit: "metric and month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};

pub(super) const ALARM_METRIC: Price = Price {
    what: "CloudWatch, alarms",
    dollars: 0.10,
    per: 1.0,
    unit: "metric of an alarm and month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};

pub(super) const DASHBOARD: Price = Price {
    what: "CloudWatch, dashboards",
    dollars: 3.00,
    per: 1.0,
    unit: "dashboard and month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};

pub(super) const KEY_REQUEST: Price = Price {
    what: "KMS, requests",
    dollars: 3.00e-6,
    per: 1e4,
    unit: "10,000",
    source: "https://aws.amazon.com/kms/pricing/",
};

pub(super) const TABLE_GB: Price = Price {
    what: "DynamoDB, storage",
    dollars: 0.25,
    per: 1.0,
    unit: "GB and month",
    source: "https://aws.amazon.com/dynamodb/pricing/on-demand/",
};

pub(super) const RECOVERY_GB: Price = Price {
    what: "DynamoDB, point-in-time recovery",
    dollars: 0.20,
    per: 1.0,
    unit: "GB and month",
    source: "https://aws.amazon.com/dynamodb/pricing/on-demand/",
};

pub(super) const LOG_GB: Price = Price {
    what: "CloudWatch Logs, stored",
    dollars: 0.03,
    per: 1.0,
    unit: "GB, compressed, and month",
    source: "https://aws.amazon.com/cloudwatch/pricing/",
};

pub(super) const NAT_HOUR: Price = Price {
    what: "NAT gateway",
    dollars: 0.045,
    per: 1.0,
    unit: "hour",
    source: "https://aws.amazon.com/vpc/pricing/",
};

pub(super) const NAT_GB: Price = Price {
    what: "NAT gateway, data processed",
    dollars: 0.045,
    per: 1.0,
    unit: "GB",
    source: "https://aws.amazon.com/vpc/pricing/",
};

/// All of them.
pub(super) const ALL: [&Price; 17] = [
    &GATEWAY_REQUEST,
    &LAMBDA_REQUEST,
    &LAMBDA_GB_S,
    &QUEUE_REQUEST,
    &READ_UNIT,
    &WRITE_UNIT,
    &LOG_BYTE,
    &TRACE,
    &METRIC,
    &ALARM_METRIC,
    &DASHBOARD,
    &KEY_REQUEST,
    &TABLE_GB,
    &RECOVERY_GB,
    &LOG_GB,
    &NAT_HOUR,
    &NAT_GB,
];
