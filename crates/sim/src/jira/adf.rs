//! Atlassian's document format, as far as a worklog's comment goes.

use serde_json::{Value, json};

/// Writes plain text as a document, a paragraph per line.
pub(super) fn document(text: &str) -> Value {
    let paragraphs: Vec<Value> = text
        .lines()
        .map(|line| {
            let content: Vec<Value> = if line.is_empty() {
                Vec::new()
            } else {
                vec![json!({"type": "text", "text": line})]
            };
            json!({"type": "paragraph", "content": content})
        })
        .collect();
    json!({"type": "doc", "version": 1, "content": paragraphs})
}

/// Reads a document's plain text; `None` for what is not a document.
pub(super) fn text(document: &Value) -> Option<String> {
    if document.get("type")? != "doc" || document.get("version")? != 1 {
        return None;
    }
    let mut text = String::new();
    for block in document.get("content")?.as_array()? {
        if !text.is_empty() {
            text.push('\n');
        }
        collect(block, &mut text);
    }
    Some(text)
}

fn collect(node: &Value, text: &mut String) {
    match node.get("type").and_then(Value::as_str) {
        Some("text") => text.push_str(node.get("text").and_then(Value::as_str).unwrap_or_default()),
        Some("hardBreak") => text.push('\n'),
        _ => {
            for child in node
                .get("content")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                collect(child, text);
            }
        }
    }
}
