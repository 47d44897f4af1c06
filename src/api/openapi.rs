//! The API's description, made from the code. `openapi.json` beside this file is the same, for people;
//! a test holds the two together.

use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{
    create_grant, error, grants, health, metrics, own_grant, points, sessions, show_point, sources,
    verify,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "itemlift",
        description = "Recovery points, and grants to read them. HTTPS, with a bearer token.",
    ),
    paths(
        health::show,
        sources::list,
        sources::check,
        points::list,
        show_point::show,
        verify::verify,
        grants::list,
        create_grant::create,
        grants::show,
        grants::renew,
        grants::revoke,
        own_grant::show,
        sessions::list,
        metrics::show,
    ),
    components(schemas(error::ErrorBody, error::Problem)),
    modifiers(&Token, &NoLicence),
    security(("token" = [])),
)]
struct Description;

struct Token;

impl Modify for Token {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("`api.token` of the state directory"))
            .build();
        description
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The crate names no licence; an empty one would make the description invalid.
struct NoLicence;

impl Modify for NoLicence {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        description.info.license = None;
    }
}

/// The description.
pub fn description() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

pub(super) async fn show() -> Json<utoipa::openapi::OpenApi> {
    Json(description())
}
