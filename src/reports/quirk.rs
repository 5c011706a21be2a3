//! The names of all deviations that the readers record, in one table with what each means.
//!
//! Names are stable: they stand in the store and in JSON. A new one is added here first.

/// Defines one constant for each name, and the table of all of them.
macro_rules! quirks {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $meaning:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $constant: &str = $name;
        )*

        /// All names with their meaning, for documents and for `explain`.
        pub const ALL: &[(&str, &str)] = &[$(($name, $meaning),)*];
    };
}

quirks! {
    // --- The message around the report
    CONTENT_TYPE_TYPO = "content-type-typo", "The header field is called `ContentType`.";
    CONTENT_TYPE_MISSING = "content-type-missing", "A part with an attachment has no Content-Type field.";
    BASE64_UNDECLARED = "base64-undeclared", "A part is base64 but its header does not say so.";
    BASE64_REPAIRED = "base64-repaired", "Base64 with foreign characters, bad padding or an early end.";
    RFC822_ENCODED = "rfc822-encoded", "An attached message is transfer-encoded, which RFC 2045 §6.4 forbids.";
    BOUNDARY_NOT_CLOSED = "boundary-not-closed", "A multipart ends without its closing delimiter.";
    BOUNDARY_MISSING = "boundary-missing", "A multipart declares no boundary.";
    MIME_TOO_MANY_PARTS = "mime-too-many-parts", "The message has more parts than are looked into.";
    MIME_TOO_DEEP = "mime-too-deep", "Parts are nested deeper than is looked into.";
    HEADER_TOO_LONG = "header-too-long", "The header is longer than is looked into.";

    // --- Archives and bytes
    GZIP_TRAILING_BYTES = "gzip-trailing-bytes", "Bytes after the end of the gzip stream.";
    GZIP_TRAILER_MISSING = "gzip-trailer-missing", "The gzip stream is whole but its checksum is cut off.";
    ZIP_JUNK_ENTRY = "zip-junk-entry", "The zip archive holds entries that are no reports.";
    NESTED_COMPRESSION = "nested-compression", "The report is packed more than once.";

    // --- XML
    ENCODING_OTHER = "encoding-other", "The document is not in UTF-8.";
    ENCODING_UNKNOWN = "encoding-unknown", "The declared encoding has no known name.";
    ENCODING_BROKEN = "encoding-broken", "Bytes that are invalid in the document's encoding were replaced.";
    BYTE_ORDER_MARK = "byte-order-mark", "The document begins with a byte order mark.";
    CONTROL_CHARACTER = "control-character", "A text holds characters that XML forbids; they were dropped.";
    DECLARATION_BROKEN = "declaration-broken", "The XML declaration is malformed.";
    TEXT_BEFORE_ROOT = "text-before-root", "There is text or markup before the root element.";
    TRAILING_CONTENT = "trailing-content", "There is text or markup after the root element.";
    DOCTYPE_SKIPPED = "doctype-skipped", "A document type declaration without internal subset was skipped.";
    SCHEMA_ELEMENT = "schema-element", "An XML schema element stands in the report.";
    NAMESPACE_UNKNOWN = "namespace-unknown", "The namespace is none of the standards.";
    TAG_CAPITALIZED = "tag-capitalized", "Element names are not in lower case.";
    ELEMENT_UNKNOWN = "element-unknown", "An element that no standard names was left out.";
    ELEMENT_NOT_CLOSED = "element-not-closed", "An element is closed by the end of its parent.";
    END_TAG_STRAY = "end-tag-stray", "An end tag closes nothing.";
    MARKUP_IN_TEXT = "markup-in-text", "A raw `<` stands in a text.";
    AMPERSAND_RAW = "ampersand-raw", "A raw `&` stands in a text.";
    ENTITY_HTML = "entity-html", "A character entity of HTML that XML does not have.";
    ENTITY_UNKNOWN = "entity-unknown", "An undeclared entity was kept as text.";
    ROOT_NOT_CLOSED = "root-not-closed", "The file ends within the last end tag.";
    TEXT_CUT = "text-cut", "A text is longer than is kept.";
    TEXT_TWICE = "element-twice", "An element that occurs once stands twice; the first counts.";

    // --- Head
    ORG_NAME_MISSING = "org-name-missing", "`org_name` is absent or empty; a fallback names the reporter.";
    EMAIL_MISSING = "email-missing", "`email` is absent or empty.";
    REPORT_ID_MISSING = "report-id-missing", "`report_id` is absent or empty.";
    PERIOD_REWRITTEN = "period-rewritten", "A time that is not whole seconds since 1970 was converted.";
    PERIOD_INCOMPLETE = "period-incomplete", "`begin` or `end` is absent or unreadable; the other one was taken.";
    PERIOD_MISSING = "period-missing", "Neither `begin` nor `end` can be read; file name or arrival gave the day.";
    PERIOD_REVERSED = "period-reversed", "`end` is before `begin`; they were exchanged.";
    PERIOD_EMPTY = "period-empty", "`begin` equals `end`.";
    PERIOD_FUTURE = "period-future", "The period ends more than a day after the report was read.";
    PERIOD_LONG = "period-long", "The period is longer than 26 hours: its messages belong to several days.";
    POLICY_MISSING = "policy-missing", "There is no `policy_published`, or no `p` in it.";
    POLICY_DOMAIN_MISSING = "policy-domain-missing", "The policy domain is absent; author domain or file name gave it.";
    POLICY_TWICE = "policy-twice", "`policy_published` stands twice and differs; the first counts.";
    POLICY_NIL = "policy-nil", "A policy value is `nil` or empty: taken as absent.";
    NO_RECORDS = "no-records", "The report has no record (RFC 9990 §3.1.1.2 wants one).";

    // --- Records
    RECORD_EMPTY = "record-empty", "A record without any value was left out.";
    SOURCE_IP_MISSING = "source-ip-missing", "`source_ip` is absent or empty.";
    SOURCE_IP_REWRITTEN = "source-ip-rewritten", "`source_ip` is an address in an unusual form.";
    SOURCE_IP_TEXT = "source-ip-text", "`source_ip` is no address; kept as text.";
    COUNT_MISSING = "count-missing", "`count` is absent or empty; no message was counted.";
    COUNT_REWRITTEN = "count-rewritten", "`count` is a number in an unusual form.";
    COUNT_NEGATIVE = "count-negative", "`count` is negative; no message was counted.";
    COUNT_UNREADABLE = "count-unreadable", "`count` is no number; no message was counted.";
    DISPOSITION_MISSING = "disposition-missing", "`disposition` is absent or empty.";
    DISPOSITION_UNKNOWN = "disposition-unknown", "`disposition` is a word outside the standards; kept as it is.";
    EVALUATED_MISSING = "evaluated-missing", "`dkim` or `spf` of `policy_evaluated` is absent or empty: no pass.";
    EVALUATED_UNKNOWN = "evaluated-unknown", "`dkim` or `spf` of `policy_evaluated` is neither pass nor fail: no pass.";
    REASON_TEXT = "reason-text", "A reason is bare text instead of `type`.";
    REASON_EMPTY = "reason-empty", "A reason has no type.";
    LIST_CUT = "list-cut", "A list is longer than is kept.";
    IDENTITIES_ALIAS = "identities-alias", "`identifiers` is called `identities`.";
    HEADER_FROM_MISSING = "header-from-missing", "`header_from` is absent; the policy domain stands in.";
    HEADER_FROM_REWRITTEN = "header-from-rewritten", "`header_from` is an address or not in its plain form.";
    HEADER_FROM_INVALID = "header-from-invalid", "`header_from` is no domain; the policy domain stands in.";
    RESULT_MAPPED = "result-mapped", "A result word of old drafts was mapped to the standard's.";
    RESULT_UNKNOWN = "result-unknown", "A result word outside the standards; kept as it is.";
    RESULT_FILLER = "result-filler", "An empty authentication result was left out.";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn names_are_unique_kebab_case() {
        let mut names: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
        for (name, meaning) in ALL {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
            assert!(meaning.ends_with('.'), "{name}");
        }
        for name in crate::mail::message::note::ALL {
            assert!(names.contains(&name), "{name} of a message has no meaning here");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
