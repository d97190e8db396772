//! Clients of AWS, made once per process from the ambient configuration (region, credentials,
//! `AWS_ENDPOINT_URL…` for an emulator).

mod transport;

use std::{error::Error, time::Duration};

use aws_config::{
    BehaviorVersion, SdkConfig, stalled_stream_protection::StalledStreamProtectionConfig,
    timeout::TimeoutConfig,
};

use self::transport::{Transport, find};

pub use self::transport::Unconnected;

/// How long a call may take with all its retries.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);

/// The configuration that all clients of this process share.
///
/// One try of a call may take 3 s, all together [`OPERATION_TIMEOUT`]: an API request that waits on a
/// table which does not answer must end as a 503 well before the gateway's own limit of 30 s.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(Transport::default())
        // No body is streamed, and a try has a limit of its own: to watch how fast each comes only takes time.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .operation_attempt_timeout(Duration::from_secs(3))
                .operation_timeout(OPERATION_TIMEOUT)
                .build(),
        )
        .load()
        .await
}

/// Whether a call has failed before its request was sent: it has no effect then.
pub(crate) fn is_unsent(error: &(dyn Error + 'static)) -> bool {
    find::<Unconnected>(error).is_some()
}
