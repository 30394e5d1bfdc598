"""The types of KAZOO's notifications: routing key, fields, and texts for the catalogue.

The types and fields are those of KAZOO's ``kapi_notifications``.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class NotificationType:
    """A type of notification.

    `name` is the event's name, and the value of the hook's selector ``type``. `routing_key` is the key under
    which KAZOO publishes it. `fields` are the message's keys beside the envelope and the account.
    """

    name: str
    routing_key: str
    friendly_name: str
    description: str
    fields: tuple[str, ...]


def _type(name: str, key: str, friendly_name: str, description: str, fields: str) -> NotificationType:
    """Make a type; `key` is the routing key behind ``notifications.``, `fields` are separated by spaces."""
    return NotificationType(name, f"notifications.{key}", friendly_name, description, tuple(fields.split()))


_CALLER = "Caller-ID-Name Caller-ID-Number"
_CALLEE = "Callee-ID-Name Callee-ID-Number"
_FROM_AND_TO = "From-Realm From-User To-Realm To-User"
_FAX = f"Call-ID {_CALLEE} {_CALLER} Fax-ID Fax-Info Fax-Notifications Fax-Timestamp FaxBox-ID"
_PORT = "Port-Request-ID Authorized-By Local-Number Number Number-State Port Reason Version"
_PAYMENT = (
    "Amount Response Success Timestamp Add-Ons Billing-Address Card-Last-Four Currency-Code Discounts ID "
    "Purchase-Order Tax-Amount"
)
_REGISTRATION = (
    "Realm Username Account-DB Authorizing-ID Call-ID Contact Event-Timestamp Expires From-Host From-User "
    "Network-IP Network-Port Suppress-Unregister-Notify To-Host To-User User-Agent"
)
_VOICEMAIL = (
    f"{_FROM_AND_TO} Voicemail-Box Voicemail-ID Voicemail-Timestamp Call-ID {_CALLER} Voicemail-Length "
    "Voicemail-Transcription"
)
_EMERGENCY = (
    "Call-ID Emergency-Caller-ID-Name Emergency-Caller-ID-Number Outbound-Caller-ID-Name "
    "Outbound-Caller-ID-Number"
)
_EMERGENCY_PLACE = (
    "Account-Name Authorizing-ID Device-Name Emergency-To-DID Emergency-Test-Call Emergency-Address-Street-1 "
    "Emergency-Address-Street-2 Emergency-Address-City Emergency-Address-Region "
    "Emergency-Address-Postal-Code Emergency-Address-Latitude Emergency-Address-Longitude "
    "Emergency-Notfication-Contact-Emails "
    "Owner-ID User-First-Name User-Last-Name User-Email"
)

NOTIFICATION_TYPES: tuple[NotificationType, ...] = (
    _type(
        "account_zone_change",
        "account.zone_change",
        "Account Zone Change",
        "The account moves to other zones",
        "Zones",
    ),
    _type(
        "bill_reminder",
        "account.reminder",
        "Bill Reminder",
        "A bill falls due soon",
        "Due-Date Items Timestamp Payment-Token",
    ),
    _type(
        "low_balance",
        "account.low_balance",
        "Account Low Balance",
        "Little credit is left",
        "Current-Balance",
    ),
    _type(
        "new_account",
        "account.new",
        "New Account",
        "An account has been made",
        "Account-API-Key Account-Name Account-Realm",
    ),
    _type(
        "service_added",
        "account.service_added",
        "Service Added",
        "The account has taken up a service",
        "Audit-Log Items Timestamp",
    ),
    _type(
        "topup", "account.topup", "Automatic Account Top-up", "Credit has been bought automatically", _PAYMENT
    ),
    _type(
        "transaction",
        "account.transaction",
        "Transaction Completed",
        "A payment has gone through or failed",
        f"{_PAYMENT} Service-Plan",
    ),
    _type(
        "cf_notification",
        "account.cf_notification",
        "Customer defined notification",
        "A callflow sends a notification of its own",
        f"Template-ID {_CALLER} Call-ID Call-Bridged Message-Left {_FROM_AND_TO} Notify To Timestamp "
        "Comments Notification-Media",
    ),
    _type(
        "number_feature_manual_action",
        "account.number_feature_manual_action",
        "Number Feature Manual Action Required",
        "A feature of a number needs a manual action",
        "Number Feature",
    ),
    _type(
        "inbound_fax",
        "fax.inbound",
        "Successful Fax Reception",
        "A fax has been received",
        f"{_FROM_AND_TO} {_FAX} Owner-ID",
    ),
    _type(
        "inbound_fax_error",
        "fax.inbound_error",
        "Fax Reception Error",
        "A fax could not be received",
        f"{_FROM_AND_TO} {_FAX} Fax-Error Owner-ID",
    ),
    _type(
        "outbound_fax",
        "fax.outbound",
        "Successful Fax Transmission",
        "A fax has been sent",
        f"Fax-JobId {_FAX}",
    ),
    _type(
        "outbound_fax_error",
        "fax.outbound_error",
        "Fax Transmission Error",
        "A fax could not be sent",
        f"Fax-JobId {_FAX} Fax-Error",
    ),
    _type(
        "outbound_smtp_fax_error",
        "fax.outbound_smtp_error",
        "Invalid Email-to-Fax Email",
        "A mail could not be made a fax",
        "Fax-From-Email Errors Timestamp Fax-To-Email FaxBox-ID FaxBox-Name FaxBox-Timezone Number Owner-ID "
        "Original-Number",
    ),
    _type(
        "cnam_request",
        "number.cnam_request",
        "CNAM Update",
        "The name shown with a number changes",
        "Number Cnam Acquired-For Local-Number Number-State Request",
    ),
    _type("port_cancel", "number.port_cancel", "Port Cancel", "Moving a number has been called off", _PORT),
    _type(
        "port_comment",
        "number.port_comment",
        "Port Comment",
        "A comment on moving a number has been added",
        f"{_PORT} Comment",
    ),
    _type(
        "port_pending",
        "number.port_pending",
        "Port Pending",
        "Moving a number waits for the other carrier",
        _PORT,
    ),
    _type(
        "port_rejected", "number.port_rejected", "Port Rejected", "Moving a number has been refused", _PORT
    ),
    _type("port_request", "number.port_request", "Port Request", "Moving a number has been asked for", _PORT),
    _type(
        "port_scheduled", "number.port_scheduled", "Port Scheduled", "Moving a number has got its date", _PORT
    ),
    _type(
        "port_unconfirmed",
        "number.port_unconfirmed",
        "Port Unconfirmed",
        "Moving a number has been entered, not yet asked for",
        _PORT,
    ),
    _type("ported", "number.ported", "Ported", "A number has moved", _PORT),
    _type(
        "denied_emergency_bridge",
        "registration.denied_emergency_bridge",
        "Emergency Call Failed",
        "An emergency call was not let through",
        _EMERGENCY,
    ),
    _type(
        "emergency_bridge",
        "registration.emergency_bridge",
        "Emergency Call Placed",
        "An emergency call has been placed",
        f"{_EMERGENCY} {_EMERGENCY_PLACE}",
    ),
    _type(
        "deregister",
        "sip.deregister",
        "De-Registration",
        "A device is no longer registered",
        f"{_REGISTRATION} FreeSWITCH-Hostname Presence-Hosts Profile-Name RPid Status",
    ),
    _type(
        "first_occurrence",
        "sip.first_occurrence",
        "Account First Occurrence",
        "The account's first call or first registration",
        "Occurrence",
    ),
    _type(
        "missed_call",
        "sip.missed_call",
        "Missed Call",
        "A call was not answered",
        f"Call-Bridged Call-ID Message-Left {_CALLER} {_FROM_AND_TO} Notify Timestamp To",
    ),
    _type(
        "register",
        "sip.register",
        "Registration",
        "A device has registered",
        f"{_REGISTRATION} Authorizing-Type Owner-ID",
    ),
    _type(
        "system_alert",
        "system.alert",
        "System Alert",
        "The platform reports a problem",
        "Message Subject Details Line Module Pid Request-ID Section",
    ),
    _type(
        "customer_update",
        "user.customer_update",
        "Customer Update",
        "A message goes out to customers",
        "DataBag Recipient-ID Template-ID User-Type",
    ),
    _type(
        "password_recovery",
        "user.password_recovery",
        "Password Recovery",
        "A user has asked for a new password",
        "Email Password-Reset-Link Account-DB First-Name Last-Name Timezone User-ID",
    ),
    _type("new_user", "user.new", "New User", "A user has been made", "User-ID Password"),
    _type(
        "voicemail_full",
        "voicemail.full",
        "Voicemail Box Full",
        "A mailbox takes no more messages",
        "Max-Message-Count Message-Count Voicemail-Box",
    ),
    _type("voicemail_new", "voicemail.new", "New Voicemail Message", "A message has been left", _VOICEMAIL),
    _type(
        "voicemail_saved", "voicemail.saved", "Voicemail Message Saved", "A message has been kept", _VOICEMAIL
    ),
    _type(
        "voicemail_deleted",
        "voicemail.deleted",
        "Voicemail Message Deleted",
        "A message has been deleted",
        f"{_VOICEMAIL} Reason",
    ),
    _type(
        "webhook",
        "webhook.callflow",
        "Callflow Webhook Triggered",
        "A callflow fires a hook of its own",
        "Data Hook Timestamp",
    ),
    _type("webhook_disabled", "webhook.disabled", "Webhook Disabled", "A hook failed too often", "Hook-ID"),
    _type(
        "webhook_recovered",
        "webhook.recovered",
        "Webhook Recovered",
        "A hook that failed too often is enabled again",
        "Hook-ID",
    ),
)
