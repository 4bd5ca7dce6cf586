//! Flowroute's error codes, as receipts and refusals have them, in our own words (docs/flowroute.md#codes).

/// The codes that are known, in order, with what each means and what the operator can do.
pub const CODES: &[(u16, &str)] = &[
    (1000, "no result is known yet"),
    (1001, "queued by Flowroute"),
    (1002, "sent to the carrier"),
    (1003, "accepted by the carrier"),
    (1004, "delivered to the phone"),
    (1005, "rejected by the carrier; ask Flowroute why"),
    (1006, "expired: the phone could not be reached in time"),
    (1007, "delivery failed; check that the number is in use"),
    (1008, "could not be sent, and never can be; check the number"),
    (1009, "sent in part; the recipient may have some of the text"),
    (1100, "unknown result"),
    (1101, "the TN's carrier is not valid; ask Flowroute"),
    (1102, "the recipient's carrier is not valid; check the number"),
    (1103, "the TN may not send texts; check its registration (10DLC or toll-free) at Flowroute"),
    (1104, "the TN's carrier is disabled; ask Flowroute"),
    (1105, "the recipient's carrier is disabled; ask Flowroute"),
    (1106, "no route to the recipient; check that the number can receive texts"),
    (1107, "the type of the TN is not valid; ask Flowroute"),
    (1108, "the type of the recipient's number is not valid; check the number"),
    (1109, "the route to the recipient is denied; ask Flowroute"),
    (1110, "the recipient has opted out of this TN (STOP); only UNSTOP from the recipient lifts that"),
    (1111, "the recipient's carrier could not be found for now"),
    (1112, "the recipient's carrier cannot be found; check the number"),
    (1115, "Flowroute has no handler for this message; ask Flowroute"),
    (1116, "the recipient's number cannot receive texts, like a landline"),
    (1150, "taken for spam; check the registration of the TN and the wording"),
    (1152, "rejected as spam; check the registration of the TN and the wording"),
    (1200, "unknown error at the carrier"),
    (1201, "the text is too long"),
    (1204, "system error at the carrier"),
    (1205, "the TN is not valid as a sender; check that it is a number of the account"),
    (1206, "the recipient's number is not valid"),
    (1207, "the carrier does not know the message's id"),
    (1210, "the carrier's queue is full"),
    (1218, "the carrier did not take the message"),
    (1219, "the type of the TN is not valid; ask Flowroute"),
    (1220, "the numbering plan of the TN is not valid; ask Flowroute"),
    (1221, "the type of the recipient's number is not valid; check the number"),
    (1222, "the numbering plan of the recipient's number is not valid; check the number"),
];

/// What a code means, if it is known.
pub(super) fn meaning(code: &str) -> Option<&'static str> {
    let code: u16 = code.parse().ok()?;
    CODES.iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning)
}
