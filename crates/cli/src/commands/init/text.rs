//! The configuration as text, with a word on each thing.

use tandem_core::Side;

use super::{Answers, Place};

/// Writes a text as TOML does; JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn render(answers: &Answers) -> String {
    let mut text = String::from(
        "# Tandem: keeps the Tempo worklogs of paired issues on two Jira Cloud sites the same.\n# `tandem doctor` checks all of it; every key is explained in the documentation.\n\n[engine]\n# Where webhooks arrive; `tandem connect` registers them. Without it, changes are found by the sweep alone.\n# public_url = \"https://tandem.example.com\"\n",
    );
    for side in Side::BOTH {
        let site = &answers.sites[side];
        text.push_str(&format!(
            "\n[sites.{}]\njira = {}\n",
            quoted(&site.name),
            quoted(&site.jira)
        ));
        match &site.tempo {
            Some(tempo) => text.push_str(&format!("tempo = {}\n", quoted(tempo))),
            None => text.push_str("# tempo = \"https://api.tempo.io\"\n"),
        }
        text.push_str(&format!(
            "# Where the tokens are, never the tokens themselves: env:NAME | file:PATH | aws:ID\nsecret = {}\n",
            quoted(&site.secret)
        ));
    }
    text.push_str(&format!(
        "\n[[connections]]\nname = {}\na = {}\nb = {}\n",
        quoted(&answers.connection),
        quoted(&answers.sites.a.name),
        quoted(&answers.sites.b.name)
    ));
    text.push_str(
        "# Worklogs dated earlier are left alone; older ones come through `tandem backfill` alone.\n",
    );
    match answers.since {
        Some(since) => text.push_str(&format!("since = \"{since}\"\n")),
        None => text.push_str("# since = \"2026-01-01\"    # default: the day of the first run\n"),
    }
    text.push_str("# Only issues that match, by JQL; empty: every linked issue.\n# scope = { a = \"project = SUP\", b = \"\" }\n");
    let places: Vec<String> = answers.links.iter().map(|place| quoted(place.as_str())).collect();
    text.push_str(&format!(
        "\n[connections.links]\n# Where an issue's twin is found; the first hit wins.\nfrom = [{}]\n",
        places.join(", ")
    ));
    text.push_str("# table = [[\"SUP-1\", \"DEV-9\"]]    # keys or ids; more by `tandem link add` and `tandem link import`\n");
    if answers.links.contains(&Place::Field) {
        let fields: Vec<String> = Side::BOTH
            .into_iter()
            .filter_map(|side| Some(format!("{side} = {}", quoted(answers.fields[side].as_ref()?))))
            .collect();
        text.push_str(&format!("field = {{ {} }}\n", fields.join(", ")));
    } else {
        text.push_str("# field = { a = \"customfield_10042\", b = \"customfield_10077\" }    # holds the twin's key or address\n");
    }
    text.push_str(&format!(
        "\n[connections.authors]\n# People are known by their account, then by a visible e-mail address; never by name. Others are named here.\n# map = [[\"account-on-{}\", \"account-on-{}\"]]\n# Time of somebody unknown: \"park\" lets it wait, \"account:ID\" gives it to a stand-in with the name in the text.\nunknown = {}\n",
        answers.sites.a.name.replace(|letter: char| letter.is_control(), ""),
        answers.sites.b.name.replace(|letter: char| letter.is_control(), ""),
        quoted(&answers.unknown)
    ));
    text.push_str(
        "\n[connections.attributes]\n# map = [{ a = \"_Account_\", b = \"_Customer_\", values = [[\"ACME1\", \"GLX7\"]] }]\n# default = { b = { \"_Activity_\" = \"Support\" } }    # for a required attribute with no source\n\n[connections.policy]\n# conflict = \"newest\"          # newest | a | b | park\n# delete = \"mirror\"            # mirror | keep | park\n# delete_vs_edit = \"edit\"      # edit | delete | park\n# mass_delete = { max = 20, within = \"1h\" }\n",
    );
    text
}
