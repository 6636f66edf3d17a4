//! The OpenAPI document, made from the table of routes.

use std::borrow::Cow;

use orgkeep_api::job::Job;
use orgkeep_api::store::CheckResult;
use orgkeep_api::system::{AuditVerification, Problem};
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem,
    PathsBuilder, Ref, RefOr, Required, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use crate::routes::{Gives, Method, ROUTES, Route};

type Schemas = Vec<(String, RefOr<Schema>)>;

/// A document of the API: its name, and how to describe it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doc {
    name: fn() -> Cow<'static, str>,
    describe: fn(&mut Schemas),
}

impl Doc {
    /// The document that `T` declares.
    pub(crate) const fn of<T: ToSchema>() -> Self {
        Self {
            name: T::name,
            describe: describe::<T>,
        }
    }

    fn reference(self) -> RefOr<Schema> {
        RefOr::Ref(Ref::from_schema_name((self.name)()))
    }
}

fn describe<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
    T::schemas(schemas);
}

/// The document, pretty-printed.
pub(crate) fn text() -> String {
    document().to_pretty_json().unwrap_or_default()
}

fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut components = ComponentsBuilder::new();
    let mut schemas = Schemas::new();
    let results = [Doc::of::<AuditVerification>(), Doc::of::<CheckResult>()];
    for doc in [Doc::of::<Problem>(), Doc::of::<Job>()]
        .into_iter()
        .chain(results)
    {
        (doc.describe)(&mut schemas);
    }
    for route in ROUTES {
        for doc in docs(route) {
            (doc.describe)(&mut schemas);
        }
        let path = route.path.replace("{*", "{");
        paths = paths.path(path, PathItem::new(method(route.method), operation(route)));
    }
    for (name, schema) in schemas {
        components = components.schema(name, schema);
    }
    let info = InfoBuilder::new()
        .title("Orgkeep")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The daemon's API on its Unix socket. Errors are application/problem+json.",
        ));
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

fn docs(route: &Route) -> Vec<Doc> {
    let gives = match route.gives {
        Gives::One(doc) | Gives::Created(doc) | Gives::List(doc) | Gives::Events(doc) => Some(doc),
        Gives::Accepted | Gives::Raw(_) => None,
    };
    route.takes.into_iter().chain(gives).collect()
}

fn method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Post => HttpMethod::Post,
        Method::Put => HttpMethod::Put,
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}

fn operation(route: &Route) -> OperationBuilder {
    let problem = content("application/problem+json", Doc::of::<Problem>().reference());
    let mut operation = OperationBuilder::new()
        .operation_id(Some(format!("{}:{}", route.action, route.path)))
        .description(Some(format!("Needs the role {}.", route.role.as_str())))
        .response(status(route.gives), answer(route.gives))
        .response(
            "default",
            ResponseBuilder::new()
                .description("What went wrong")
                .content(problem.0, problem.1),
        );
    for name in path_parameters(route.path) {
        operation = operation.parameter(parameter(name, ParameterIn::Path, Required::True));
    }
    for name in route.query {
        operation = operation.parameter(parameter(name, ParameterIn::Query, Required::False));
    }
    if let Some(doc) = route.takes {
        let (kind, content) = content("application/json", doc.reference());
        operation = operation.request_body(Some(
            RequestBodyBuilder::new().content(kind, content).build(),
        ));
    }
    operation
}

fn status(gives: Gives) -> &'static str {
    match gives {
        Gives::Created(_) => "201",
        Gives::Accepted => "202",
        Gives::One(_) | Gives::List(_) | Gives::Events(_) | Gives::Raw(_) => "200",
    }
}

fn answer(gives: Gives) -> ResponseBuilder {
    let response = ResponseBuilder::new();
    let (text, kind, schema) = match gives {
        Gives::One(doc) => ("The document", "application/json", doc.reference()),
        Gives::Created(doc) => ("What was made", "application/json", doc.reference()),
        Gives::Accepted => ("The job", "application/json", Doc::of::<Job>().reference()),
        Gives::List(doc) => ("A page of rows", "application/json", list_of(doc)),
        Gives::Events(doc) => (
            "Events, one document each",
            "text/event-stream",
            doc.reference(),
        ),
        Gives::Raw(kind) => (
            "The content",
            kind,
            RefOr::T(Schema::Object(ObjectBuilder::new().build())),
        ),
    };
    let (kind, content) = content(kind, schema);
    response.description(text).content(kind, content)
}

fn list_of(doc: Doc) -> RefOr<Schema> {
    let next = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    let list = ObjectBuilder::new()
        .property("items", ArrayBuilder::new().items(doc.reference()))
        .property("next", next)
        .required("items")
        .required("next");
    RefOr::T(Schema::Object(list.build()))
}

fn content(kind: &str, schema: RefOr<Schema>) -> (String, utoipa::openapi::Content) {
    (
        kind.to_owned(),
        ContentBuilder::new().schema(Some(schema)).build(),
    )
}

fn path_parameters(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.strip_prefix('*').unwrap_or(name))
}

fn parameter(name: &str, place: ParameterIn, required: Required) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document as it was last agreed on. A difference is a changed contract: look at it, then copy the new one.
    const AGREED: &str = include_str!("../openapi.json");

    #[test]
    fn the_document_is_the_agreed_one() {
        let now = text();
        let differs = now.trim_end() != AGREED.trim_end();
        assert!(
            !differs,
            "write the output of GET /v1/openapi.json to daemon/openapi.json"
        );
    }

    #[test]
    fn the_document_describes_every_route_and_resolves_every_reference() {
        let document: serde_json::Value = serde_json::from_str(&text()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        for route in ROUTES {
            let path = route.path.replace("{*", "{");
            let method = format!("{:?}", route.method).to_lowercase();
            assert!(
                document["paths"][&path][&method].is_object(),
                "{method} {path}"
            );
        }
        let text = text();
        for name in text
            .split("#/components/schemas/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            assert!(
                document["components"]["schemas"][name].is_object(),
                "{name}"
            );
        }
    }
}
