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

    // --- TLS reports: the document
    TLS_REPORT_LIST = "tls-report-list", "The document is a list of reports.";
    TLS_FIELD_UNKNOWN = "tls-field-unknown", "A field that the standard does not name was left out.";
    TLS_FIELD_RENAMED = "tls-field-renamed", "A field's name differs from the standard's in case or dashes.";
    TLS_FIELD_TWICE = "tls-field-twice", "A field that occurs once stands twice; the first counts.";
    TLS_FIELD_TYPE = "tls-field-type", "A value has another JSON type than the standard says.";

    // --- TLS reports: head
    TLS_ORGANIZATION_MISSING = "tls-organization-missing", "`organization-name` is absent or empty; a fallback names the reporter.";
    TLS_CONTACT_MISSING = "tls-contact-missing", "`contact-info` is absent or empty.";
    TLS_REPORT_ID_NUMBER = "tls-report-id-number", "`report-id` is a number.";
    TLS_TIME_WITHOUT_ZONE = "tls-time-without-zone", "A time has no zone, or one of unknown offset; UTC was taken.";
    TLS_NO_POLICIES = "tls-no-policies", "The report has no policy.";

    // --- TLS reports: policies
    TLS_POLICY_FLAT = "tls-policy-flat", "The fields of a policy stand beside its summary instead of in `policy`.";
    TLS_POLICY_TYPE_MISSING = "tls-policy-type-missing", "`policy-type` is absent or empty.";
    TLS_POLICY_TYPE_UNKNOWN = "tls-policy-type-unknown", "`policy-type` is a word outside the standard; kept as it is.";
    TLS_POLICY_DOMAIN_MISSING = "tls-policy-domain-missing", "`policy-domain` is absent or empty; mail, file name or other policies gave it.";
    TLS_POLICY_DOMAIN_INVALID = "tls-policy-domain-invalid", "`policy-domain` is no domain; mail, file name or other policies gave it.";
    TLS_POLICY_DOMAIN_IS_HOST = "tls-policy-domain-is-host", "`policy-domain` is an MX host; the sessions are counted under the domain of the report.";
    TLS_POLICY_STRING_SHAPE = "tls-policy-string-shape", "`policy-string` is one text instead of a list.";
    TLS_MX_HOST_SHAPE = "tls-mx-host-shape", "`mx-host` is one text instead of a list.";
    TLS_MX_HOST_REWRITTEN = "tls-mx-host-rewritten", "An `mx-host` is not in its plain form.";
    TLS_SUMMARY_MISSING = "tls-summary-missing", "There is no `summary`; failed sessions are the sum of the details.";
    TLS_DETAILS_DIFFER = "tls-details-differ", "The details add up to another number than the summary's failed sessions; the summary counts.";

    // --- TLS reports: counts and details
    TLS_COUNT_MISSING = "tls-count-missing", "A session count is absent or empty; no session was counted.";
    TLS_COUNT_REWRITTEN = "tls-count-rewritten", "A session count is a number in an unusual form.";
    TLS_COUNT_NEGATIVE = "tls-count-negative", "A session count is negative; no session was counted.";
    TLS_COUNT_UNREADABLE = "tls-count-unreadable", "A session count is no number; no session was counted.";
    TLS_RESULT_TYPE_MISSING = "tls-result-type-missing", "`result-type` is absent or empty.";
    TLS_RESULT_TYPE_UNKNOWN = "tls-result-type-unknown", "`result-type` is a word outside the registry; kept as it is.";
    TLS_WORD_REWRITTEN = "tls-word-rewritten", "A word of the standard is in another case.";
    TLS_ADDRESS_REWRITTEN = "tls-address-rewritten", "An address is in an unusual form.";
    TLS_ADDRESS_TEXT = "tls-address-text", "An address is a name or other text; kept as it is.";

    // --- Feedback reports: the mail
    FEEDBACK_NO_MACHINE_PART = "feedback-no-machine-part", "There is no machine-readable part; what is known was read from words.";
    FEEDBACK_MACHINE_PART_TYPE = "feedback-machine-part-type", "The machine-readable part does not say what it is.";
    FEEDBACK_MACHINE_PART_BASE64 = "feedback-machine-part-base64", "The machine-readable part is base64 but its header does not say so.";
    FEEDBACK_MACHINE_PART_CUT = "feedback-machine-part-cut", "The mail ends within the machine-readable part; its last field was left out.";
    FEEDBACK_ORIGINAL_MISSING = "feedback-original-missing", "Neither the message nor its header is quoted.";
    FEEDBACK_ORIGINAL_TYPE = "feedback-original-type", "The quoted part has an unusual type.";

    // --- Feedback reports: fields
    FEEDBACK_FIELD_BROKEN = "feedback-field-broken", "A line is neither a field nor folded; it was taken for the rest of the field before.";
    FEEDBACK_FIELD_TWICE = "feedback-field-twice", "A field that occurs once stands twice; the first counts.";
    FEEDBACK_FIELD_UNKNOWN = "feedback-field-unknown", "A field that no standard names; it was kept.";
    FEEDBACK_FIELDS_CUT = "feedback-fields-cut", "There are more fields or longer texts than are kept.";
    FEEDBACK_SOFT_BREAK = "feedback-soft-break", "A soft line break stands in a part that is not quoted-printable.";
    FEEDBACK_CHARSET_BROKEN = "feedback-charset-broken", "Bytes that are no UTF-8 were read as windows-1252.";

    // --- Feedback reports: values
    FEEDBACK_TYPE_MISSING = "feedback-type-missing", "`Feedback-Type` is absent or empty.";
    FEEDBACK_TYPE_UNKNOWN = "feedback-type-unknown", "`Feedback-Type` is a word outside the registry; kept as it is.";
    FEEDBACK_USER_AGENT_MISSING = "feedback-user-agent-missing", "`User-Agent` is absent or empty.";
    FEEDBACK_VERSION_MISSING = "feedback-version-missing", "`Version` is absent or empty.";
    FEEDBACK_ARRIVAL_FALLBACK = "feedback-arrival-fallback", "`Arrival-Date` is absent or unreadable; the words or the date of the mail gave it.";
    FEEDBACK_ARRIVAL_MISSING = "feedback-arrival-missing", "Nothing says when the message came.";
    FEEDBACK_ARRIVAL_WITHOUT_ZONE = "feedback-arrival-without-zone", "`Arrival-Date` has no zone, or one of unknown offset; UTC was taken.";
    FEEDBACK_SOURCE_FALLBACK = "feedback-source-fallback", "`Source-IP` is absent; the words gave it.";
    FEEDBACK_SOURCE_MISSING = "feedback-source-missing", "Nothing says where the message came from.";
    FEEDBACK_SOURCE_REWRITTEN = "feedback-source-rewritten", "`Source-IP` has more than an address in its plain form.";
    FEEDBACK_SOURCE_TEXT = "feedback-source-text", "`Source-IP` is no address; kept as text.";
    FEEDBACK_SOURCE_PORT_UNREADABLE = "feedback-source-port-unreadable", "`Source-Port` is no port.";
    FEEDBACK_INCIDENTS_UNREADABLE = "feedback-incidents-unreadable", "`Incidents` is no number above zero; one was taken.";
    FEEDBACK_REPORTED_DOMAIN_FALLBACK = "feedback-reported-domain-fallback", "`Reported-Domain` is absent; the author domain stands in.";
    FEEDBACK_REPORTED_DOMAIN_MISSING = "feedback-reported-domain-missing", "Nothing says which domain it is about.";
    FEEDBACK_REPORTED_DOMAIN_INVALID = "feedback-reported-domain-invalid", "`Reported-Domain` is no domain.";
    FEEDBACK_AUTH_FAILURE_MISSING = "feedback-auth-failure-missing", "A report of failed authentication does not say what failed (RFC 6591 §3.2.1).";
    FEEDBACK_AUTH_FAILURE_UNKNOWN = "feedback-auth-failure-unknown", "`Auth-Failure` is a word outside the standards; kept as it is.";
    FEEDBACK_DELIVERY_RESULT_MAPPED = "feedback-delivery-result-mapped", "`Delivery-Result` is in free words; the nearest of the standard was taken.";
    FEEDBACK_DELIVERY_RESULT_UNKNOWN = "feedback-delivery-result-unknown", "`Delivery-Result` is a word outside the standard; kept as it is.";
    FEEDBACK_IDENTITY_ALIGNMENT_MISSING = "feedback-identity-alignment-missing", "A DMARC failure report has no `Identity-Alignment` (RFC 9991 requires it).";
    FEEDBACK_IDENTITY_ALIGNMENT_UNKNOWN = "feedback-identity-alignment-unknown", "`Identity-Alignment` has a word outside the standard.";
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
