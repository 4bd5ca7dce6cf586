//! The error codes of the API.

use axum::http::StatusCode;

macro_rules! reasons {
    ($(#[doc = $meaning:literal] $variant:ident = $name:literal, $status:ident;)+) => {
        /// Why a request failed, for programs: `reason` in the body of every error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason {
            $(#[doc = $meaning] $variant),+
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code in the body.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it means, in a sentence for the OpenAPI document.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning.trim_ascii()),+ }
            }

            /// The HTTP status of the response.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }
        }
    };
}

reasons! {
    /// The body is not JSON, not an object, or has a duplicate field.
    MalformedJson = "malformed_json", BAD_REQUEST;
    /// The connection ended before the body did, or the body cannot be decompressed.
    IncompleteBody = "incomplete_body", BAD_REQUEST;
    /// In AWS Lambda: the gateway's event has a body that is not Base64, too many headers, or what no URL can have.
    UnreadableEvent = "unreadable_event", BAD_REQUEST;
    /// The body has a field that the call does not know.
    UnknownField = "unknown_field", BAD_REQUEST;
    /// A required field is missing.
    MissingField = "missing_field", BAD_REQUEST;
    /// A field has another JSON type than expected.
    WrongType = "wrong_type", BAD_REQUEST;
    /// A value is not a phone number that the service can use.
    InvalidNumber = "invalid_number", BAD_REQUEST;
    /// The number is of a country that is not allowed, costs extra, or belongs to no country.
    NumberNotAllowed = "number_not_allowed", BAD_REQUEST;
    /// `expiry_window` is not a whole number of minutes in its range.
    InvalidExpiryWindow = "invalid_expiry_window", BAD_REQUEST;
    /// The `Idempotency-Key` is empty, too long, not visible ASCII, or there are several.
    InvalidIdempotencyKey = "invalid_idempotency_key", BAD_REQUEST;
    /// `limit` is out of range.
    InvalidLimit = "invalid_limit", BAD_REQUEST;
    /// `after` is not a cursor of this list.
    InvalidAfter = "invalid_after", BAD_REQUEST;
    /// The whole list does not fit into one response.
    ListTooLong = "list_too_long", BAD_REQUEST;
    /// The TN is already in the pool.
    DuplicateTn = "duplicate_tn", BAD_REQUEST;
    /// A live session uses the TN.
    TnInUse = "tn_in_use", BAD_REQUEST;
    /// The TN that the session was to get will not do.
    TnUnavailable = "tn_unavailable", BAD_REQUEST;
    /// `draining` is missing, or neither true nor false.
    InvalidDraining = "invalid_draining", BAD_REQUEST;
    /// The number is a participant of a live session.
    TnIsParticipant = "tn_is_participant", BAD_REQUEST;
    /// Both participants are the same number.
    SameParticipant = "same_participant", BAD_REQUEST;
    /// A participant is a TN of the pool.
    ParticipantIsTn = "participant_is_tn", BAD_REQUEST;
    /// A participant has opted out of each TN that is free.
    ParticipantOptedOut = "participant_opted_out", BAD_REQUEST;
    /// No TN of the pool is free.
    NoTnAvailable = "no_tn_available", BAD_REQUEST;
    /// The API key or the webhook token is missing or wrong.
    Unauthorized = "unauthorized", UNAUTHORIZED;
    /// Without keys: the call names another host than this machine, or comes from a page of another site.
    ForeignOrigin = "foreign_origin", FORBIDDEN;
    /// The post comes from an address that is not allowed.
    AddressNotAllowed = "address_not_allowed", FORBIDDEN;
    /// No route has this path.
    NotFound = "not_found", NOT_FOUND;
    /// The TN is not in the pool.
    TnNotFound = "tn_not_found", NOT_FOUND;
    /// No session has this id.
    SessionNotFound = "session_not_found", NOT_FOUND;
    /// The person has not opted out of the TN.
    OptOutNotFound = "opt_out_not_found", NOT_FOUND;
    /// The path has no route for this method.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED;
    /// The body did not arrive before its time limit.
    BodyTooSlow = "body_too_slow", REQUEST_TIMEOUT;
    /// The body is larger than its limit.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE;
    /// The idempotency key was used with another body.
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY;
    /// The body has another content type or content encoding than expected.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE;
    /// The caller has sent too many wrong keys or tokens.
    TooManyAttempts = "too_many_attempts", TOO_MANY_REQUESTS;
    /// The service has a defect.
    InternalError = "internal_error", INTERNAL_SERVER_ERROR;
    /// The provider rejected a start message, so the session was rolled back.
    ProviderRejected = "provider_rejected", BAD_GATEWAY;
    /// The store did not respond before the time limit, or holds data that this release cannot read.
    StoreUnavailable = "store_unavailable", SERVICE_UNAVAILABLE;
}
