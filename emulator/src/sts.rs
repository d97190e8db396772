//! An STS that answers `GetCallerIdentity` alone, and everybody the same: the account that queues and events
//! here belong to.
//!
//! Tools ask it before anything else. Without one here, SAM asks the real one who the made-up credentials
//! belong to, and waits for its refusal at each call.

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use uuid::Uuid;

use crate::sqs::ACCOUNT;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("text/xml");

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Its HTTP side.
pub(crate) fn router() -> Router {
    Router::new().fallback(answer)
}

async fn answer(body: String) -> Response {
    let id = Uuid::new_v4();
    let (status, xml) = if body
        .split('&')
        .any(|pair| pair == "Action=GetCallerIdentity")
    {
        let xml = format!(
            "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::{ACCOUNT}:root</Arn><UserId>{ACCOUNT}</UserId><Account>{ACCOUNT}</Account>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
        (StatusCode::OK, xml)
    } else {
        let xml = format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>InvalidAction</Code>\
             <Message>GetCallerIdentity is the only action that is known here.</Message></Error>\
             <RequestId>{id}</RequestId></ErrorResponse>"
        );
        (StatusCode::BAD_REQUEST, xml)
    };
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], xml).into_response()
}
