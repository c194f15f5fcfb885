//! The template as CloudFormation reads it, as far as tests want to know: parameters, conditions, and the functions
//! that stand for values. Stacks inside are read along. For tests alone; start with [`Stack`].
//!
//! Names and ARNs that AWS would give are made up here, always the same for the same resource. What this does not know
//! ends the test; it guesses nothing.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a template that makes no sense is the end of the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};
use tandem_aws::dynamodb::schema::TABLE;

/// The table's name, which CloudFormation would make up.
pub const TABLE_NAME: &str = "tandem";
/// Where everything is deployed in tests.
pub const REGION: &str = "eu-central-1";
/// Whose account it is.
pub const ACCOUNT: &str = "123456789012";

/// A statement's effect on one action and one resource: what a policy allows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allowed {
    /// The action, such as `dynamodb:GetItem`.
    pub action: String,
    /// The resource's ARN.
    pub resource: String,
}

/// A stack: a template with its parameters, and the stacks inside it.
#[derive(Clone, Debug)]
pub struct Stack {
    /// The template, with the short forms of functions (`!Ref`) written out.
    pub template: Value,
    /// The file that it was read from.
    pub file: PathBuf,
    parameters: BTreeMap<String, Value>,
    /// The stacks inside, by their names in the template.
    pub nested: BTreeMap<String, Stack>,
}

/// The root of this repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/template lies two levels below the root")
        .to_owned()
}

impl Stack {
    /// Reads `template.yaml`, with these parameters and otherwise its defaults.
    pub fn deployed(parameters: &[(&str, &str)]) -> Self {
        Self::read(
            &repository().join("template.yaml"),
            parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect(),
        )
    }

    /// Reads it for two sites, `acme` and `globex`.
    pub fn of_two_sites() -> Self {
        Self::deployed(&[("SiteA", "acme"), ("SiteB", "globex")])
    }

    fn read(file: &Path, given: BTreeMap<String, Value>) -> Self {
        let template = parse(file);
        let known = template["Parameters"].as_object().cloned().unwrap_or_default();
        for name in given.keys() {
            assert!(
                known.contains_key(name),
                "{} has no parameter {name}",
                file.display()
            );
        }
        let parameters = known
            .iter()
            .map(|(name, parameter)| {
                let value = given.get(name).or_else(|| parameter.get("Default"));
                let value = value.unwrap_or_else(|| panic!("{}: {name} has no value", file.display()));
                (name.clone(), value.clone())
            })
            .collect();
        let mut stack = Self {
            template,
            file: file.to_owned(),
            parameters,
            nested: BTreeMap::new(),
        };
        // One may take another's outputs, so they are read in an order in which those are known.
        let mut left: BTreeSet<String> = stack.of_type("AWS::CloudFormation::Stack").into_iter().collect();
        while !left.is_empty() {
            let ready = left.iter().find(|name| {
                let text = stack.template["Resources"][name.as_str()]["Properties"].to_string();
                !left
                    .iter()
                    .any(|other| text.contains(&format!("{other}.Outputs")))
            });
            let name = ready.expect("stacks inside do not wait for each other").clone();
            let properties = stack.properties(&name);
            let path = properties["TemplateURL"]
                .as_str()
                .expect("a stack has its template");
            let given = properties["Parameters"].as_object().cloned().unwrap_or_default();
            let inside = Self::read(
                &file.parent().expect("a file lies in a folder").join(path),
                given.into_iter().collect(),
            );
            left.remove(&name);
            stack.nested.insert(name, inside);
        }
        stack
    }

    /// Returns what CloudFormation would refuse these parameters with, by the template's rules, before it makes anything.
    pub fn refusals(&self) -> Vec<String> {
        let rules = self.template["Rules"].as_object();
        let assertions = rules
            .into_iter()
            .flatten()
            .flat_map(|(_, rule)| rule["Assertions"].as_array().into_iter().flatten());
        assertions
            .filter(|assertion| !self.holds(&assertion["Assert"]))
            .map(|assertion| {
                let words = assertion["AssertDescription"].as_str();
                words.expect("an assertion says what is wrong").to_owned()
            })
            .collect()
    }

    /// Returns the names of the resources of a type whose condition holds.
    pub fn of_type(&self, kind: &str) -> Vec<String> {
        let resources = self.template["Resources"].as_object();
        resources
            .into_iter()
            .flatten()
            .filter(|(_, resource)| resource["Type"] == kind && self.wanted(resource))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Returns a resource's properties as AWS would get them.
    pub fn properties(&self, resource: &str) -> Value {
        let resource_ = &self.template["Resources"][resource];
        assert!(!resource_.is_null(), "there is no resource {resource}");
        self.resolve(&resource_["Properties"]).unwrap_or_default()
    }

    /// Returns the outputs whose condition holds.
    pub fn outputs(&self) -> BTreeMap<String, Value> {
        let outputs = self.template["Outputs"].as_object();
        outputs
            .into_iter()
            .flatten()
            .filter(|(_, output)| self.wanted(output))
            .map(|(name, output)| (name.clone(), self.resolve(&output["Value"]).unwrap_or_default()))
            .collect()
    }

    /// Returns the functions, by the folder that their code is in: `webhook` for `functions/webhook`. With each its
    /// properties, those of `Globals` included.
    pub fn functions(&self) -> BTreeMap<String, Value> {
        let globals = self
            .resolve(&self.template["Globals"]["Function"])
            .unwrap_or_default();
        let mut functions = BTreeMap::new();
        for name in self.of_type("AWS::Serverless::Function") {
            let mut properties = self.properties(&name);
            for (key, value) in globals.as_object().into_iter().flatten() {
                let own = properties[key].take();
                properties[key] = merged(&format!("{name}: {key}"), value, own);
            }
            let folder = properties["CodeUri"].as_str().expect("a function has code");
            let folder = folder
                .strip_prefix("functions/")
                .expect("functions live in functions/");
            functions.insert(folder.to_owned(), properties);
        }
        functions
    }

    /// Returns what a function's role allows.
    pub fn allowed(&self, function: &str) -> BTreeSet<Allowed> {
        let role = self.functions()[function]["Role"].clone();
        let role = self
            .of_type("AWS::IAM::Role")
            .into_iter()
            .find(|name| self.attribute(name, "Arn") == role)
            .unwrap_or_else(|| panic!("{function} has no role of its own"));
        let properties = self.properties(&role);
        assert!(
            properties.get("ManagedPolicyArns").is_none(),
            "{role} takes policies of others"
        );
        let mut policies: Vec<Value> = properties["Policies"].as_array().cloned().unwrap_or_default();
        for policy in self.of_type("AWS::IAM::ManagedPolicy") {
            let policy = self.properties(&policy);
            let roles = policy["Roles"].as_array().cloned().unwrap_or_default();
            if roles.contains(&json!(role)) {
                policies.push(policy);
            }
        }
        let mut allowed = BTreeSet::new();
        for statement in policies
            .iter()
            .flat_map(|policy| list(&policy["PolicyDocument"]["Statement"]))
        {
            assert_eq!(statement["Effect"], "Allow", "{role}: {statement}");
            for action in list(&statement["Action"]) {
                for resource in list(&statement["Resource"]) {
                    let text = |value: &Value| value.as_str().expect("a policy is made of texts").to_owned();
                    allowed.insert(Allowed {
                        action: text(&action),
                        resource: text(&resource),
                    });
                }
            }
        }
        allowed
    }

    fn wanted(&self, thing: &Value) -> bool {
        thing["Condition"]
            .as_str()
            .is_none_or(|name| self.condition(name))
    }

    fn condition(&self, name: &str) -> bool {
        let condition = &self.template["Conditions"][name];
        assert!(!condition.is_null(), "there is no condition {name}");
        self.holds(condition)
    }

    fn holds(&self, condition: &Value) -> bool {
        let (function, argument) = call(condition).unwrap_or_else(|| panic!("no condition: {condition}"));
        let mut parts = argument.as_array().into_iter().flatten();
        match function {
            "Condition" => self.condition(argument.as_str().expect("a condition has a name")),
            "Fn::Equals" => {
                // CloudFormation compares texts; a number's is its digits.
                let text = |value: &Value| match self.resolve(value).unwrap_or_default() {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                text(&argument[0]) == text(&argument[1])
            }
            "Fn::Not" => !self.holds(&argument[0]),
            "Fn::And" => parts.all(|part| self.holds(part)),
            "Fn::Or" => parts.any(|part| self.holds(part)),
            other => panic!("no condition is made by {other}"),
        }
    }

    /// Returns a value with all functions carried out; `None` for `AWS::NoValue`.
    pub fn resolve(&self, value: &Value) -> Option<Value> {
        if let Some((function, argument)) = call(value) {
            return self.called(function, argument);
        }
        Some(match value {
            Value::Array(items) => items.iter().filter_map(|item| self.resolve(item)).collect(),
            Value::Object(entries) => entries
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), self.resolve(value)?)))
                .collect::<Map<_, _>>()
                .into(),
            other => other.clone(),
        })
    }

    fn called(&self, function: &str, argument: &Value) -> Option<Value> {
        let text = || {
            argument
                .as_str()
                .unwrap_or_else(|| panic!("{function} of {argument}"))
        };
        match function {
            "Ref" if text() == "AWS::NoValue" => None,
            "Ref" => Some(self.reference(text())),
            "Fn::GetAtt" => {
                let (resource, attribute) = text().split_once('.').expect("an attribute is RESOURCE.NAME");
                Some(self.attribute(resource, attribute))
            }
            "Fn::Sub" => Some(json!(self.substituted(text()))),
            "Fn::If" => {
                let name = argument[0].as_str().expect("a condition has a name");
                self.resolve(&argument[if self.condition(name) { 1 } else { 2 }])
            }
            other => panic!("what {other} makes is not known here"),
        }
    }

    fn reference(&self, name: &str) -> Value {
        match name {
            "AWS::Region" => json!(REGION),
            "AWS::AccountId" => json!(ACCOUNT),
            "AWS::Partition" => json!("aws"),
            "AWS::StackName" => json!("tandem"),
            _ => match self.parameters.get(name) {
                Some(value) => value.clone(),
                None => self.physical(name),
            },
        }
    }

    /// What `Ref` gives for a resource.
    fn physical(&self, name: &str) -> Value {
        match self.template["Resources"][name]["Type"].as_str() {
            Some("AWS::DynamoDB::Table") => json!(TABLE_NAME),
            Some("AWS::SecretsManager::Secret") => {
                let name = self.properties(name)["Name"].clone();
                json!(secret_arn(name.as_str().expect("a secret has a name")))
            }
            Some("AWS::SNS::Topic") => self.attribute(name, "TopicArn"),
            Some(_) => json!(name),
            None => panic!("{}: nothing is called {name}", self.file.display()),
        }
    }

    fn attribute(&self, name: &str, attribute: &str) -> Value {
        let kind = self.template["Resources"][name]["Type"].as_str();
        match (kind, attribute) {
            (Some("AWS::CloudFormation::Stack"), output) => {
                let output = output.strip_prefix("Outputs.").expect("a stack gives outputs");
                let outputs = self.nested[name].outputs();
                let given = outputs.get(output);
                given
                    .unwrap_or_else(|| panic!("{name} has no output {output}"))
                    .clone()
            }
            (Some("AWS::DynamoDB::Table"), "Arn") => json!(table_arn()),
            (Some("AWS::DynamoDB::Table"), "StreamArn") => json!(format!("{}/stream/now", table_arn())),
            (Some("AWS::ApiGatewayV2::Api"), "ApiEndpoint") => {
                json!(format!("https://{name}.execute-api.{REGION}.amazonaws.com"))
            }
            (Some("AWS::SNS::Topic"), "TopicArn") => {
                let name = self.properties(name)["TopicName"].clone();
                json!(topic_arn(name.as_str().expect("the topic has a name")))
            }
            (Some(kind), "QueueName") => json!(format!("{kind}-{name}")),
            (Some(kind), attribute) => {
                assert!(
                    attribute.ends_with("Arn"),
                    "{name} has no {attribute} that is known here"
                );
                let service = kind.split("::").nth(1).unwrap_or_default().to_lowercase();
                json!(format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{name}"))
            }
            (None, _) => panic!("{}: nothing is called {name}", self.file.display()),
        }
    }

    fn substituted(&self, text: &str) -> String {
        let mut made = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').expect("`${` has its end");
            made.push_str(before);
            match (name.strip_prefix('!'), name.split_once('.')) {
                (Some(literal), _) => made.push_str(&format!("${{{literal}}}")),
                (None, Some((resource, attribute))) => {
                    made.push_str(self.attribute(resource, attribute).as_str().unwrap_or_default());
                }
                (None, None) => match self.reference(name) {
                    Value::String(text) => made.push_str(&text),
                    other => made.push_str(&other.to_string()),
                },
            }
            rest = after;
        }
        made + rest
    }
}

/// The table's ARN.
pub fn table_arn() -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{}", TABLE_NAME)
}

/// The ARN of the table's index.
pub fn index_arn() -> String {
    format!("{}/index/{}", table_arn(), TABLE.index)
}

/// The ARN of a topic of SNS.
pub fn topic_arn(name: &str) -> String {
    format!("arn:aws:sns:{REGION}:{ACCOUNT}:{name}")
}

/// The ARN of a secret, which Secrets Manager ends with six characters of its own.
pub fn secret_arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf")
}

/// Takes a value that may be one or a list of several, as policies do.
pub fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

/// Returns the function that a value is the call of, and its argument.
fn call(value: &Value) -> Option<(&str, &Value)> {
    let entries = value.as_object()?;
    let (name, argument) = entries.iter().next()?;
    let is_call = name == "Ref" || name.starts_with("Fn::") || (name == "Condition" && argument.is_string());
    (entries.len() == 1 && is_call).then_some((name.as_str(), argument))
}

/// Reads a template; `!Sub` becomes `{"Fn::Sub": …}`.
pub fn parse(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let documents = Yaml::load_from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert_eq!(documents.len(), 1, "{} is one document", file.display());
    json_of(&documents[0])
}

fn json_of(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(items) => items.iter().map(json_of).collect(),
        Yaml::Mapping(entries) => entries
            .iter()
            .map(|(name, value)| {
                let name = name
                    .as_str()
                    .unwrap_or_else(|| panic!("a key that is no text: {name:?}"));
                (name.to_owned(), json_of(value))
            })
            .collect::<Map<_, _>>()
            .into(),
        Yaml::Tagged(tag, node) => {
            let name = match tag.suffix.as_str() {
                plain @ ("Ref" | "Condition") => plain.to_owned(),
                function => format!("Fn::{function}"),
            };
            json!({ name: json_of(node) })
        }
        // CloudFormation takes no aliases either.
        other => panic!("a template has no such node: {other:?}"),
    }
}

/// Puts what a resource says over what `Globals` says, as SAM does it: maps are merged, and the resource's value counts.
fn merged(what: &str, global: &Value, own: Value) -> Value {
    match (global, own) {
        (global, Value::Null) => global.clone(),
        (Value::Object(global), Value::Object(mut own)) => {
            for (key, value) in global {
                let of_own = own.remove(key).unwrap_or_default();
                own.insert(key.clone(), merged(&format!("{what}.{key}"), value, of_own));
            }
            own.into()
        }
        (Value::Array(_), _) => panic!("{what}: how lists are merged is not known here"),
        (_, own) => own,
    }
}
