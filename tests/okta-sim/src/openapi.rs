//! Checks requests and answers against Okta's OpenAPI document.
//!
//! The document is not part of the project: [`Checker::open`] gives `None` where it is absent, and a test that wants
//! it says so and passes. What it says is Okta's own description and at a few places not what the service does;
//! those stand in a list with their reasons and are no breaches.

mod exceptions;
mod schema;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::LoggedRequest;

use schema::{Direction, Schemas};

/// Where the document is looked for, under a directory.
const DOCUMENT: &str = "shared/okta/management-openapi.yaml";

/// Why the document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenapiError {
    /// The file is there but cannot be read.
    #[error("the document {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not YAML, or not an OpenAPI document.
    #[error("the document is not YAML")]
    Malformed(#[from] serde_yaml_ng::Error),
}

/// One difference between what was sent and what the document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// `GET /api/v1/zones/{zoneId}`, or the concrete path where the document has none for it.
    pub operation: String,
    /// `request.query.limit`, `response.body.gateways[0].type` …
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.operation, self.place, self.what)
    }
}

/// A request as the checker sees it.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// `GET`.
    pub method: &'a str,
    /// The path without the query, percent-decoded or not: `/api/v1/zones/nzo…`.
    pub path: &'a str,
    /// The decoded query, in order.
    pub query: &'a [(String, String)],
    /// The JSON body.
    pub body: Option<&'a Value>,
}

/// The document, ready to check against.
#[derive(Debug)]
pub struct Checker {
    document: Value,
    templates: Vec<Template>,
}

/// One path of the document.
#[derive(Debug)]
struct Template {
    path: String,
    segments: Vec<String>,
}

/// One operation of the document, found for a request.
#[derive(Debug, Clone, Copy)]
struct Operation<'a> {
    template: &'a Template,
    /// The path's part of the document, which may hold parameters too.
    shared: &'a Value,
    own: &'a Value,
}

impl Checker {
    /// Reads the document; `None` where there is no such file.
    ///
    /// # Errors
    ///
    /// [`OpenapiError`] where the file is there and cannot be used.
    pub fn open(path: &Path) -> Result<Option<Self>, OpenapiError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(OpenapiError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Reads the document from `shared/okta/` beside `directory` or beside one of the directories above it; `None`
    /// where there is none.
    ///
    /// # Errors
    ///
    /// [`OpenapiError`] where the file is there and cannot be used.
    pub fn open_above(directory: &Path) -> Result<Option<Self>, OpenapiError> {
        let places = directory.ancestors().map(|above| above.join(DOCUMENT));
        places
            .into_iter()
            .find(|path| path.exists())
            .map_or(Ok(None), |path| Self::open(&path))
    }

    /// Reads a document from YAML, of which JSON is a part.
    ///
    /// # Errors
    ///
    /// [`OpenapiError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, OpenapiError> {
        let document: Value = serde_yaml_ng::from_str(text)?;
        let paths = document.get("paths").and_then(Value::as_object);
        let templates = paths
            .into_iter()
            .flatten()
            .map(|(path, _)| Template {
                path: path.clone(),
                segments: segments(path).map(str::to_owned).collect(),
            })
            .collect();
        Ok(Self {
            document,
            templates,
        })
    }

    /// The document's name for a request, `GET /api/v1/zones/{zoneId}`; `None` if it does not know it.
    #[must_use]
    pub fn operation(&self, method: &str, path: &str) -> Option<String> {
        self.find(method, path).map(|found| found.name(method))
    }

    /// Checks a request: that path and method exist, its query and its body.
    ///
    /// A query parameter that the document does not know and a property that is read-only are breaches; further
    /// properties in bodies are not.
    #[must_use]
    pub fn check_request(&self, sent: Sent) -> Vec<Breach> {
        let Some(found) = self.find(sent.method, sent.path) else {
            return unknown(sent.method, sent.path);
        };
        let mut wrong = Vec::new();
        self.check_query(found, sent.query, &mut wrong);
        let described = found
            .own
            .get("requestBody")
            .map(|body| self.schemas().resolve(body));
        match (described, sent.body) {
            (None, Some(_)) => wrong.push(("request.body".to_owned(), "takes no body".to_owned())),
            (Some(described), None) if described.get("required") == Some(&Value::Bool(true)) => {
                wrong.push(("request.body".to_owned(), "needs a body".to_owned()));
            }
            (Some(described), Some(body)) => match json_schema(described) {
                Some(schema) => {
                    let schemas = self.schemas();
                    schemas.check(schema, body, "request.body", Direction::Request, &mut wrong);
                }
                None => wrong.push(("request.body".to_owned(), "takes no JSON".to_owned())),
            },
            (_, None) => {}
        }
        kept(&found.name(sent.method), wrong)
    }

    /// Checks an answer: its status and its body. Statuses of 400 and above are checked where the document has them.
    #[must_use]
    pub fn check_response(&self, sent: Sent, status: u16, body: Option<&Value>) -> Vec<Breach> {
        let Some(found) = self.find(sent.method, sent.path) else {
            return unknown(sent.method, sent.path);
        };
        let mut wrong = Vec::new();
        let described = found
            .own
            .get("responses")
            .and_then(|all| all.get(status.to_string()));
        match described {
            None if status < 400 => {
                wrong.push((
                    "response.status".to_owned(),
                    format!("{status} is not documented"),
                ));
            }
            None => {}
            Some(described) => {
                let described = self.schemas().resolve(described);
                match (json_schema(described), body) {
                    (None, Some(body)) if *body != json!({}) => {
                        wrong.push(("response.body".to_owned(), "has no body".to_owned()));
                    }
                    (Some(_), None) => {
                        wrong.push(("response.body".to_owned(), "lacks its body".to_owned()));
                    }
                    (Some(schema), Some(body)) => {
                        let schemas = self.schemas();
                        schemas.check(
                            schema,
                            body,
                            "response.body",
                            Direction::Response,
                            &mut wrong,
                        );
                    }
                    // Recorded: steps in a lifecycle answer `{}` where the document has nothing.
                    (None, _) => {}
                }
            }
        }
        kept(&found.name(sent.method), wrong)
    }

    /// Checks a request from the simulated org's record of them; requests for tokens are in another document.
    #[must_use]
    pub fn check_logged(&self, logged: &LoggedRequest) -> Vec<Breach> {
        if logged.path.starts_with("/oauth2/v1/token") {
            return Vec::new();
        }
        let query: Vec<(String, String)> = url::form_urlencoded::parse(logged.query.as_bytes())
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        let body = logged.body.as_ref();
        self.check_request(Sent {
            method: &logged.method,
            path: &logged.path,
            query: &query,
            body,
        })
    }

    fn schemas(&self) -> Schemas<'_> {
        Schemas::new(&self.document)
    }

    /// The operation whose path has the most literal segments in common with this one.
    fn find(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let wanted: Vec<&str> = segments(path).collect();
        let paths = self.document.get("paths")?;
        let method = method.to_lowercase();
        self.templates
            .iter()
            .filter(|template| template.fits(&wanted))
            .filter_map(|template| {
                let shared = paths.get(&template.path)?;
                Some(Operation {
                    template,
                    shared,
                    own: shared.get(&method)?,
                })
            })
            .min_by_key(|found| found.template.variables())
    }

    fn check_query(
        &self,
        found: Operation,
        query: &[(String, String)],
        wrong: &mut Vec<(String, String)>,
    ) {
        let schemas = self.schemas();
        let described: Vec<&Value> = [found.shared, found.own]
            .into_iter()
            .filter_map(|part| part.get("parameters").and_then(Value::as_array))
            .flatten()
            .map(|parameter| schemas.resolve(parameter))
            .filter(|parameter| parameter.get("in").is_some_and(|place| place == "query"))
            .collect();
        for (key, value) in query {
            let place = format!("request.query.{key}");
            let parameter = described.iter().find(|parameter| {
                parameter
                    .get("name")
                    .is_some_and(|name| name == key.as_str())
            });
            match parameter.map(|parameter| parameter.get("schema")) {
                None => wrong.push((place, "is not documented".to_owned())),
                Some(Some(schema)) => schemas.check_text(schema, value, &place, wrong),
                Some(None) => {}
            }
        }
        for parameter in described {
            let name = parameter
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let required = parameter.get("required") == Some(&Value::Bool(true));
            if required && !query.iter().any(|(key, _)| key == name) {
                wrong.push((format!("request.query.{name}"), "is required".to_owned()));
            }
        }
    }
}

impl Template {
    fn fits(&self, wanted: &[&str]) -> bool {
        self.segments.len() == wanted.len()
            && self
                .segments
                .iter()
                .zip(wanted)
                .all(|(own, wanted)| is_variable(own) || own == wanted)
    }

    fn variables(&self) -> usize {
        self.segments
            .iter()
            .filter(|segment| is_variable(segment))
            .count()
    }
}

impl Operation<'_> {
    fn name(&self, method: &str) -> String {
        format!("{method} {}", self.template.path)
    }
}

fn is_variable(segment: &str) -> bool {
    segment.starts_with('{')
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// The schema of the JSON content of a body or an answer.
fn json_schema(described: &Value) -> Option<&Value> {
    let content = described.get("content")?.as_object()?;
    let json = content.iter().find(|(kind, _)| kind.contains("json"))?;
    json.1.get("schema")
}

fn unknown(method: &str, path: &str) -> Vec<Breach> {
    vec![Breach {
        operation: format!("{method} {path}"),
        place: "path".to_owned(),
        what: "is not in the document".to_owned(),
    }]
}

/// Makes breaches of all that is not a known fault of the document.
fn kept(operation: &str, wrong: Vec<(String, String)>) -> Vec<Breach> {
    wrong
        .into_iter()
        .filter(|(place, _)| !exceptions::covers(operation, place))
        .map(|(place, what)| Breach {
            operation: operation.to_owned(),
            place,
            what,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Checker, Sent};
    use serde_json::{Value, json};

    fn checker() -> Checker {
        let document = json!({
            "paths": {
                "/things": {
                    "get": {
                        "parameters": [
                            {"$ref": "#/components/parameters/limit"},
                            {"name": "type", "in": "query", "required": true, "schema": {"type": "string", "enum": ["A", "B"]}},
                        ],
                        "responses": {"200": {"content": {"application/json": {"schema": {
                            "type": "array", "items": {"$ref": "#/components/schemas/Thing"},
                        }}}}},
                    },
                    "post": {
                        "requestBody": {"required": true, "content": {"application/json": {"schema": {
                            "$ref": "#/components/schemas/Thing",
                        }}}},
                        "responses": {"201": {"content": {"application/json": {"schema": {
                            "$ref": "#/components/schemas/Thing",
                        }}}}},
                    },
                },
                "/things/{id}": {"delete": {"responses": {"204": {"description": "Gone"}}}},
                "/things/special": {"delete": {"responses": {"200": {"description": "Other"}}}},
            },
            "components": {
                "parameters": {"limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 200}}},
                "schemas": {
                    "Thing": {
                        "type": "object",
                        "properties": {
                            "id": {"type": "string", "readOnly": true},
                            "kind": {"type": "string"},
                            "secret": {"type": "string", "writeOnly": true},
                            "at": {"type": "string", "format": "date-time", "readOnly": true},
                            "note": {"type": "string", "nullable": true},
                        },
                        "required": ["id", "kind"],
                        "discriminator": {"propertyName": "kind", "mapping": {
                            "BIG": "#/components/schemas/Big", "SMALL": "#/components/schemas/Small",
                        }},
                    },
                    "Big": {"allOf": [
                        {"$ref": "#/components/schemas/Thing"},
                        {"type": "object", "properties": {"size": {"type": "integer", "minimum": 10}}, "required": ["size"]},
                    ]},
                    "Small": {"allOf": [{"$ref": "#/components/schemas/Thing"}]},
                },
            },
        });
        Checker::parse(&document.to_string()).unwrap()
    }

    fn request(
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Vec<String> {
        let query: Vec<(String, String)> = query
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let sent = Sent {
            method,
            path,
            query: &query,
            body,
        };
        checker()
            .check_request(sent)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn response(method: &str, path: &str, status: u16, body: Option<&Value>) -> Vec<String> {
        let sent = Sent {
            method,
            path,
            query: &[],
            body: None,
        };
        checker()
            .check_response(sent, status, body)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn paths_and_methods_must_exist_and_literals_win() {
        assert_eq!(
            request("GET", "/nothing", &[], None),
            ["GET /nothing: path: is not in the document"]
        );
        assert_eq!(request("PUT", "/things", &[], None).len(), 1);
        let checker = checker();
        assert_eq!(
            checker.operation("DELETE", "/things/1").unwrap(),
            "DELETE /things/{id}"
        );
        assert_eq!(
            checker.operation("DELETE", "/things/special").unwrap(),
            "DELETE /things/special"
        );
    }

    #[test]
    fn queries_are_checked() {
        assert!(request("GET", "/things", &[("type", "A"), ("limit", "200")], None).is_empty());
        let wrong = request("GET", "/things", &[("limit", "201"), ("page", "2")], None);
        assert_eq!(
            wrong,
            [
                "GET /things: request.query.limit: is more than 200",
                "GET /things: request.query.page: is not documented",
                "GET /things: request.query.type: is required",
            ]
        );
        assert_eq!(request("GET", "/things", &[("type", "C")], None).len(), 1);
        assert_eq!(
            request("GET", "/things", &[("type", "A"), ("limit", "x")], None).len(),
            1
        );
    }

    #[test]
    fn requests_carry_no_read_only_property_and_satisfy_their_variant() {
        assert!(
            request(
                "POST",
                "/things",
                &[],
                Some(&json!({"kind": "BIG", "size": 10, "more": 1}))
            )
            .is_empty()
        );
        assert_eq!(
            request(
                "POST",
                "/things",
                &[],
                Some(&json!({"id": "1", "kind": "SMALL"}))
            ),
            ["POST /things: request.body.id: is read-only"]
        );
        assert_eq!(
            request("POST", "/things", &[], Some(&json!({"kind": "BIG"}))),
            ["POST /things: request.body.size: is required"]
        );
        assert_eq!(
            request("POST", "/things", &[], Some(&json!({"kind": "HUGE"}))).len(),
            1
        );
        assert_eq!(
            request("POST", "/things", &[], None),
            ["POST /things: request.body: needs a body"]
        );
        assert_eq!(
            request("DELETE", "/things/1", &[], Some(&json!({}))).len(),
            1
        );
    }

    #[test]
    fn answers_satisfy_their_schema() {
        let good = json!([{"id": "1", "kind": "BIG", "size": 11.0, "note": null, "at": "2026-01-01T00:00:00.000Z"}]);
        assert!(response("GET", "/things", 200, Some(&good)).is_empty());
        for (bad, place) in [
            (json!([{"kind": "SMALL"}]), "response.body[0].id"),
            (json!([{"id": 1, "kind": "SMALL"}]), "response.body[0].id"),
            (
                json!([{"id": "1", "kind": "BIG", "size": 3}]),
                "response.body[0].size",
            ),
            (
                json!([{"id": "1", "kind": "SMALL", "secret": "x"}]),
                "response.body[0].secret",
            ),
            (
                json!([{"id": "1", "kind": "SMALL", "at": "yesterday"}]),
                "response.body[0].at",
            ),
            (json!({}), "response.body"),
        ] {
            let wrong = response("GET", "/things", 200, Some(&bad));
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert!(wrong[0].contains(&format!("{place}: ")), "{wrong:?}");
        }
        assert_eq!(response("POST", "/things", 200, None).len(), 1);
        assert!(response("DELETE", "/things/1", 204, None).is_empty());
        assert_eq!(
            response("DELETE", "/things/1", 204, Some(&json!({"a": 1}))).len(),
            1
        );
        assert!(response("DELETE", "/things/1", 204, Some(&json!({}))).is_empty());
    }

    #[test]
    fn an_absent_document_is_none() {
        assert!(
            Checker::open(std::path::Path::new("no/such/document.yaml"))
                .unwrap()
                .is_none()
        );
    }
}
