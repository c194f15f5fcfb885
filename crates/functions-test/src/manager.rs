//! Secrets Manager, as far as functions ask it: versions with their labels, each label on one version at most.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tandem_template::secret_arn;

const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
const PENDING: &str = "AWSPENDING";

/// What becomes of the writes of secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writes {
    /// They are done.
    #[default]
    Done,
    /// So many are refused for good, those of AWSPENDING only; then they are done.
    PendingRefused(usize),
    /// Those of AWSPENDING have no effect and get no answer.
    PendingLost,
}

/// A version of a secret.
#[derive(Clone, Debug, Default)]
struct Version {
    /// Secrets Manager makes a version before its rotation has given it a text.
    text: Option<String>,
    labels: BTreeSet<String>,
}

/// All secrets, by name and version.
#[derive(Debug, Default)]
pub(crate) struct Manager {
    secrets: BTreeMap<String, BTreeMap<String, Version>>,
    pub(crate) writes: Writes,
    /// How many writes got no answer.
    pub(crate) lost: usize,
    /// How often a text was asked for.
    pub(crate) read: usize,
    made: usize,
}

/// An answer; `None` for none at all.
type Answer = Option<(u16, Value)>;

impl Manager {
    /// Puts a text into use, as a person would.
    pub(crate) fn put(&mut self, name: &str, text: String) {
        let version = self.name();
        let versions = self.secrets.entry(name.to_owned()).or_default();
        versions.entry(version.clone()).or_default().text = Some(text);
        label(versions, CURRENT, &version);
    }

    /// Begins a rotation and returns the version to be made.
    pub(crate) fn begin_rotation(&mut self, name: &str) -> String {
        let version = self.name();
        let versions = self.secrets.get_mut(name).expect("the secret is there");
        let pending = versions.values().find(|one| one.labels.contains(PENDING));
        assert!(
            pending.is_none_or(|one| one.labels.contains(CURRENT)),
            "a rotation is under way"
        );
        versions.entry(version.clone()).or_default();
        label(versions, PENDING, &version);
        version
    }

    /// Returns the text of the version with a label.
    pub(crate) fn text(&self, name: &str, wanted: &str) -> Option<String> {
        let versions = self.secrets.get(name)?;
        let version = versions.values().find(|one| one.labels.contains(wanted))?;
        version.text.clone()
    }

    /// Returns the labels of a version.
    pub(crate) fn labels(&self, name: &str, version: &str) -> BTreeSet<String> {
        let versions = self.secrets.get(name);
        let version = versions.and_then(|versions| versions.get(version));
        version.map(|version| version.labels.clone()).unwrap_or_default()
    }

    pub(crate) fn answer(&mut self, operation: &str, body: &Value) -> Answer {
        self.read += usize::from(operation == "GetSecretValue");
        let id = body["SecretId"].as_str().unwrap_or_default();
        let found = self
            .secrets
            .keys()
            .find(|name| *name == id || secret_arn(name) == id);
        let Some(name) = found.cloned() else {
            return refused("ResourceNotFoundException", "there is no such secret");
        };
        let writes = &mut self.writes;
        let versions = self.secrets.get_mut(&name).expect("its name was found");
        let about = json!({"ARN": secret_arn(&name), "Name": name});
        match operation {
            "GetSecretValue" => get(versions, body, about),
            "DescribeSecret" => {
                let labels: BTreeMap<_, _> = versions
                    .iter()
                    .filter(|(_, version)| !version.labels.is_empty())
                    .map(|(id, version)| (id, &version.labels))
                    .collect();
                with(
                    about,
                    json!({"RotationEnabled": true, "VersionIdsToStages": labels}),
                )
            }
            "PutSecretValue" => {
                let answer = put(versions, body, about, writes);
                self.lost += usize::from(answer.is_none());
                answer
            }
            "UpdateSecretVersionStage" => update(versions, body, about),
            _ => refused("UnknownOperationException", operation),
        }
    }

    fn name(&mut self) -> String {
        self.made += 1;
        format!("00000000-0000-4000-8000-{:012}", self.made)
    }
}

/// Moves a label to a version; what was current becomes previous.
fn label(versions: &mut BTreeMap<String, Version>, wanted: &str, to: &str) {
    let from = versions
        .iter()
        .find(|(_, version)| version.labels.contains(wanted))
        .map(|(id, _)| id.clone());
    if let Some(version) = from.as_ref().and_then(|from| versions.get_mut(from)) {
        version.labels.remove(wanted);
    }
    versions
        .entry(to.to_owned())
        .or_default()
        .labels
        .insert(wanted.to_owned());
    if let Some(from) = from.filter(|from| wanted == CURRENT && from != to) {
        label(versions, PREVIOUS, &from);
    }
}

fn get(versions: &BTreeMap<String, Version>, body: &Value, about: Value) -> Answer {
    let (id, stage) = (body["VersionId"].as_str(), body["VersionStage"].as_str());
    let stage = stage.or(id.is_none().then_some(CURRENT));
    let fits = |(name, version): &(&String, &Version)| {
        id.is_none_or(|id| id == name.as_str()) && stage.is_none_or(|stage| version.labels.contains(stage))
    };
    match versions.iter().find(fits) {
        Some((
            name,
            Version {
                text: Some(text),
                labels,
            },
        )) => with(
            about,
            json!({"SecretString": text, "VersionId": name, "VersionStages": labels}),
        ),
        _ => refused("ResourceNotFoundException", "there is no such version"),
    }
}

fn put(versions: &mut BTreeMap<String, Version>, body: &Value, about: Value, writes: &mut Writes) -> Answer {
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    let (id, text) = (text("ClientRequestToken"), text("SecretString"));
    let labels: Vec<&str> = match body["VersionStages"].as_array() {
        Some(labels) => labels.iter().filter_map(Value::as_str).collect(),
        None => vec![CURRENT],
    };
    if !(32..=64).contains(&id.len()) || text.is_empty() {
        return refused(
            "InvalidParameterException",
            "a token of 32 to 64 characters, and a text",
        );
    }
    match writes {
        Writes::PendingLost if labels.contains(&PENDING) => return None,
        Writes::PendingRefused(left) if labels.contains(&PENDING) && *left > 0 => {
            *left -= 1;
            return refused("EncryptionFailure", "the key is not to be had");
        }
        _ => {}
    }
    let version = versions.entry(id.clone()).or_default();
    match &version.text {
        Some(there) if *there != text => {
            return refused("ResourceExistsException", "this version has another text");
        }
        _ => version.text = Some(text),
    }
    for one in &labels {
        label(versions, one, &id);
    }
    with(about, json!({"VersionId": id, "VersionStages": labels}))
}

fn update(versions: &mut BTreeMap<String, Version>, body: &Value, about: Value) -> Answer {
    let stage = body["VersionStage"].as_str().unwrap_or_default();
    let holder = versions
        .iter()
        .find(|(_, version)| version.labels.contains(stage))
        .map(|(id, _)| id.clone());
    let (to, from) = (
        body["MoveToVersionId"].as_str(),
        body["RemoveFromVersionId"].as_str(),
    );
    // Whoever takes a label away has to know where it is.
    if holder.as_deref() != from {
        return refused("InvalidParameterException", "the label is on another version");
    }
    match (to, from) {
        (Some(to), _) if versions.contains_key(to) => label(versions, stage, to),
        (None, Some(from)) if stage != CURRENT => {
            if let Some(version) = versions.get_mut(from) {
                version.labels.remove(stage);
            }
        }
        _ => return refused("InvalidParameterException", "there is no such version"),
    }
    Some((200, about))
}

fn with(mut about: Value, more: Value) -> Answer {
    for (name, value) in more.as_object().into_iter().flatten() {
        about[name] = value.clone();
    }
    Some((200, about))
}

fn refused(kind: &str, message: &str) -> Answer {
    Some((400, json!({"__type": kind, "message": message})))
}
