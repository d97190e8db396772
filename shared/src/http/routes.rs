//! Routes, each of which is served where its handler's description says.

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, MethodRouter},
};
use utoipa::{Path, openapi::HttpMethod};

/// Serves a handler at the path, and with the methods, of its description. The rest of the description is not
/// made: it costs a function's start more than all routes do.
pub fn route<P, H, T, S>(router: Router<S>, handler: &H) -> Router<S>
where
    P: Path,
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let methods = P::methods();
    let served = methods.iter().fold(MethodRouter::new(), |served, method| {
        served.on(filter(method), handler.clone())
    });
    router.route(&P::path(), served)
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}

/// Declares the routes of a function, each by its module and its handler (`self::handler` for one at hand):
/// `described()` is the description of them, `router()` serves them.
///
/// They are two things of one list, so that what nobody serves has no description and the other way round,
/// and so that a function has no code in it that makes descriptions.
#[macro_export]
macro_rules! routes {
    ($state:ty: $($module:ident::$handler:ident),+ $(,)?) => {
        $crate::http::paste! {
            fn described() -> utoipa::openapi::OpenApi {
                #[derive(utoipa::OpenApi)]
                #[openapi(paths($($module::$handler),+))]
                struct Described;

                <Described as utoipa::OpenApi>::openapi()
            }

            fn router() -> axum::Router<$state> {
                let router = axum::Router::new();
                $(
                    let router = $crate::http::route::<$module::[<__path_ $handler>], _, _, _>(
                        router,
                        &$module::$handler,
                    );
                )+
                router
            }
        }
    };
}
