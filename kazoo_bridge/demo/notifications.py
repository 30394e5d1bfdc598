"""Publishes KAZOO's messages about voicemail, faxes, changed documents and text messages."""

from __future__ import annotations

import random
import time
from typing import Any

from attrs import frozen

from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.leg import Leg
from kazoo_bridge.demo.tenants import Party, Tenant, make_id
from kazoo_bridge.kazoo import account_db, encode_key_part, monthly_db, to_gregorian

_TRANSCRIPTIONS = (
    "hello, please ring me when you are back",
    "the parcel is here, you can fetch it until six",
    "it is about the invoice from last week, nothing urgent",
    "could we move Thursday's appointment to the morning",
)
_TEXTS = (
    "The table for four is booked",
    "Running ten minutes late, sorry",
    "Is the blue one still to be had?",
    "Thank you, all arrived in one piece 🎉",
)


@frozen
class FaxJob:
    """A fax between the account and `remote`."""

    tenant: Tenant
    id: str
    call_id: str
    remote: Party
    incoming: bool
    pages: int

    @property
    def ends(self) -> tuple[Party, Party]:
        """The sender and the receiver."""
        own = Party(self.tenant.name, self.tenant.number)
        return (self.remote, own) if self.incoming else (own, self.remote)


class NotificationPublisher:
    """Publishes messages in the form of KAZOO's applications."""

    def __init__(self, publisher: EventPublisher, rng: random.Random) -> None:
        self._publisher = publisher
        self._rng = rng

    def voicemail(self, leg: Leg, owner: Party, length: int) -> None:
        """Publish a new voicemail of `length` seconds for `owner`."""
        tenant, now = leg.tenant, self._publisher.now()
        message_id = self.monthly_id()
        self.document("doc_created", tenant, "mailbox_message", message_id, monthly=True)
        self._notification(
            "voicemail",
            "new",
            "voicemail_new",
            {
                "Account-ID": tenant.id,
                "Call-ID": leg.id,
                **_caller(leg.caller),
                "From-Realm": tenant.realm,
                "From-User": leg.caller.number,
                "To-Realm": tenant.realm,
                "To-User": owner.number,
                "Owner-ID": owner.user_id,
                "Voicemail-Box": tenant.mailbox_id,
                "Voicemail-ID": message_id,
                "Voicemail-Length": length,
                "Voicemail-Timestamp": to_gregorian(now),
                "Voicemail-Transcription": {
                    "result": "success",
                    "text": self._rng.choice(_TRANSCRIPTIONS),
                },
            },
        )

    def missed_call(self, leg: Leg, callee: Party, cause: str) -> None:
        """Publish that a person has missed the call of `leg`."""
        tenant = leg.tenant
        self._notification(
            "sip",
            "missed_call",
            "missed_call",
            {
                "Account-ID": tenant.id,
                "Call-ID": leg.id,
                "Call-Bridged": False,
                "Message-Left": False,
                "Hangup-Cause": cause,
                **_caller(leg.caller),
                **_callee(callee),
                "From-User": leg.caller.number,
                "From-Realm": tenant.realm,
                "To-User": callee.number,
                "To-Realm": tenant.realm,
                "Notify": {"type": "email", "recipients": []},
                "Timestamp": to_gregorian(self._publisher.now()),
            },
        )

    def fax_status(self, fax: FaxJob, state: str, phase: str, status: str, page: int) -> None:
        """Publish the progress of a fax; `page` pages are transferred."""
        sender, receiver = fax.ends
        self._publisher.publish_event(
            "faxes",
            f"fax.status.{fax.tenant.id}.{encode_key_part(fax.id)}",
            "fax",
            "status",
            {
                "Account-ID": fax.tenant.id,
                "Job-ID": fax.id,
                "FaxBox-ID": fax.tenant.faxbox_id,
                "Fax-State": state,
                "Direction": "incoming" if fax.incoming else "outgoing",
                "Stage": phase,
                "Status": status,
                "Page": page,
                "Fax-Info": _fax_info(fax, page),
                **_caller(sender),
                **_callee(receiver),
            },
        )

    def fax_done(self, fax: FaxJob) -> None:
        """Publish that a fax is complete."""
        sender, receiver = fax.ends
        name = "inbound" if fax.incoming else "outbound"
        self.document(
            "doc_created" if fax.incoming else "doc_edited", fax.tenant, "fax", fax.id, monthly=True
        )
        self._notification(
            "fax",
            name,
            f"{name}_fax",
            {
                "Account-ID": fax.tenant.id,
                "Call-ID": fax.call_id,
                **({} if fax.incoming else {"Fax-JobId": fax.id}),
                "Fax-ID": fax.id,
                "FaxBox-ID": fax.tenant.faxbox_id,
                "Fax-Info": {**_fax_info(fax, fax.pages), "fax_result_text": "OK"},
                "Fax-Timestamp": to_gregorian(self._publisher.now()),
                "From-Realm": fax.tenant.realm,
                "To-Realm": fax.tenant.realm,
                "From-User": sender.number,
                "To-User": receiver.number,
                **_caller(sender),
                **_callee(receiver),
            },
        )

    def document(
        self, action: str, tenant: Tenant, kind: str, document_id: str, *, monthly: bool = False
    ) -> None:
        """Publish a change of a document; `action` is ``doc_created`` or ``doc_edited``.

        `monthly`: the document is in the database of the current month.
        """
        now = self._publisher.now()
        date = time.gmtime(now)
        database = monthly_db(tenant.id, date.tm_year, date.tm_mon) if monthly else account_db(tenant.id)
        body: dict[str, Any] = {
            "Account-ID": tenant.id,
            "Database": database,
            "ID": document_id,
            "Type": kind,
            "Rev": f"{self._rng.randint(2, 30)}-{make_id(self._rng)}",
            "Date-Modified": to_gregorian(now),
            "Date-Created": to_gregorian(now) - (0 if action == "doc_created" else 86400),
            "Is-Soft-Deleted": False,
        }
        self._publisher.publish_event(
            "configuration",
            f"{action}.{database}.{kind}.{encode_key_part(document_id)}",
            "configuration",
            action,
            body,
        )

    def text_message(self, tenant: Tenant, sender: Party) -> None:
        """Publish a text message from `sender` to the account's number."""
        message_id = make_id(self._rng)
        body = {
            "Account-ID": tenant.id,
            "Message-ID": message_id,
            "From": sender.number,
            "To": tenant.number,
            "Body": self._rng.choice(_TEXTS),
            "Route-Type": "offnet",
            "Route-ID": "carrier",
            "Charges": 0.01,
        }
        self._publisher.publish_event("im", f"sms.inbound.offnet.{message_id}", "sms", "inbound", body)

    def monthly_id(self) -> str:
        """Return an id like those of documents in monthly databases."""
        return f"{time.strftime('%Y%m', time.gmtime(self._publisher.now()))}-{make_id(self._rng)}"

    def _notification(self, kind: str, key_name: str, name: str, body: dict[str, Any]) -> None:
        self._publisher.publish_event(
            "notifications", f"notifications.{kind}.{key_name}", "notification", name, body
        )


def _caller(party: Party) -> dict[str, str]:
    return {"Caller-ID-Name": party.name, "Caller-ID-Number": party.number}


def _callee(party: Party) -> dict[str, str]:
    return {"Callee-ID-Name": party.name, "Callee-ID-Number": party.number}


def _fax_info(fax: FaxJob, page: int) -> dict[str, Any]:
    return {
        "fax_transferred_pages": page,
        "fax_total_pages": fax.pages,
        "fax_transfer_rate": 14400,
        "fax_ecm_used": "on",
    }
