//! What happened to an image, in parts, and the sentence made of them.

use super::Finding;

/// What happened to an image, in parts: a line without room for all of them leaves some out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The field that names the image: `container "api"` or `volume "models"`. Empty where no name is known.
    pub field: String,
    /// What happened, without the image.
    pub what: String,
    /// The same in fewer words: nothing that the image or the code says already.
    pub short: String,
    /// What the short form leaves out and nothing else says.
    pub left_out: Option<String>,
    /// The registry's words belong behind it.
    pub quoted: bool,
    /// What was found out besides, each a clause.
    pub details: Vec<String>,
}

// === impl Finding ===

impl Finding {
    /// `IMAGE (container "NAME") WHAT: "QUOTATION"; DETAILS`: one sentence, complete in itself.
    pub fn message(&self) -> String {
        let Description { what, details, .. } = &self.description;
        let mut message = format!("{}{what}", self.subject());
        if let Some(quotation) = self.quotation() {
            message.push_str(&format!(": \"{quotation}\""));
        }
        for detail in details {
            message.push_str(&format!("; {detail}"));
        }
        message
    }

    /// `IMAGE (container "NAME") `; `"" (container "NAME") ` for an empty one. Empty where the finding is
    /// about no single image.
    pub fn subject(&self) -> String {
        match (self.image.trim(), self.description.field.as_str()) {
            ("", "") => String::new(),
            // Nothing, or blanks, would not be seen.
            ("", field) => format!("\"{}\" ({field}) ", self.image),
            (_, "") => format!("{} ", self.image),
            (_, field) => format!("{} ({field}) ", self.image),
        }
    }

    /// The words of the registry that are repeated in the message.
    pub fn quotation(&self) -> Option<&str> {
        self.registry.as_deref().filter(|_| self.description.quoted)
    }
}
