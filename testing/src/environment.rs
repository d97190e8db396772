//! The environment of a function, as `template.yaml` has it.

use std::{collections::BTreeMap, net::TcpListener, path::Path, sync::LazyLock, time::Duration};

use emulator::LocalAws;
use yaml_rust2::{Yaml, YamlLoader};

/// The stack that everything belongs to, as in [`shared::store::TableNames::of_stack`].
const STACK: &str = "test";

/// What a function runs without: it has a default, or is read by a library that has one.
const OPTIONAL: [&str; 5] = [
    "ALLOW_TARGETS",
    "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH",
    "FAILED_DELIVERY_DAYS",
    "RETRY_SCHEDULE",
    "RUST_LOG",
];

static TEMPLATE: LazyLock<Yaml> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    // The reader takes `!Ref X` for the text `X`.
    YamlLoader::load_from_str(&text).unwrap().remove(0)
});

/// What Lambda gives a function's process, and how long an invocation of it may take.
#[derive(Clone, Debug)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    from_template: Vec<String>,
    pub(crate) timeout: Duration,
}

impl Environment {
    /// That of a function of the template over these services. What the template refers to is given in
    /// `refers`, unless it is a table, or a parameter that keeps its default.
    pub fn of(function: &str, aws: &LocalAws, refers: &[(&str, &str)]) -> Self {
        let properties = &TEMPLATE["Resources"][function]["Properties"];
        let of_all = &TEMPLATE["Globals"]["Function"];
        let of_template: BTreeMap<_, _> = [of_all, properties]
            .into_iter()
            .flat_map(|owner| owner["Environment"]["Variables"].as_hash().unwrap())
            .map(|(name, value)| (text(name), resolve(&text(value), refers)))
            .collect();
        let from_template = of_template.keys().cloned().collect();
        let seconds = properties["Timeout"].as_i64().unwrap();
        let environment = Self {
            variables: of_template,
            from_template,
            timeout: Duration::from_secs(seconds.try_into().unwrap()),
        };
        environment
            .with("AWS_ENDPOINT_URL_DYNAMODB", aws.dynamodb_url())
            .with("AWS_ENDPOINT_URL_SQS", aws.sqs_url())
            .with("AWS_REGION", "us-east-1")
            .with("AWS_ACCESS_KEY_ID", "local")
            .with("AWS_SECRET_ACCESS_KEY", "local")
            .with("AWS_LAMBDA_FUNCTION_NAME", &function.to_lowercase())
            .with("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .with("AWS_LAMBDA_FUNCTION_VERSION", "1")
    }

    /// With this variable, too, or with another value for it.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Where the tables take what is asked of them and say nothing, for as long as the listener is there.
    pub fn with_silent_tables(self) -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (self.with("AWS_ENDPOINT_URL_DYNAMODB", &url), listener)
    }

    /// Without this variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// Where an invocation may take as long as this, and not as long as in the template.
    #[must_use]
    pub fn timing_out_after(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The variables of the template that the function cannot do without.
    pub(crate) fn required(&self) -> impl Iterator<Item = &str> {
        let from_template = self.from_template.iter().map(String::as_str);
        from_template.filter(|name| !OPTIONAL.contains(name))
    }

    /// All variables.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }
}

/// A value of the template: what it refers to, or itself.
fn resolve(value: &str, refers: &[(&str, &str)]) -> String {
    if let Some((_, given)) = refers.iter().find(|(name, _)| *name == value) {
        return (*given).to_owned();
    }
    if value == "AWS::StackName" {
        return STACK.to_owned();
    }
    let parameter = &TEMPLATE["Parameters"][value];
    if !parameter.is_badvalue() {
        return text(&parameter["Default"]);
    }
    let resource = &TEMPLATE["Resources"][value];
    if !resource.is_badvalue() {
        let table = &resource["Properties"]["TableName"];
        return text(table).replace("${AWS::StackName}", STACK);
    }
    value.to_owned()
}

fn text(value: &Yaml) -> String {
    match value {
        Yaml::String(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        _ => panic!("{value:?} is no text"),
    }
}
