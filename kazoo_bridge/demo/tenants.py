"""Who is on the telephone: companies, their people with extensions and telephones, and the world outside. All of it made up."""

from __future__ import annotations

import random
import uuid

from attrs import frozen

_RESELLER = ("Fjordline Telecom", "fjordline")
_COMPANIES = (
    ("Harbour Clinic", "harbour-clinic"),
    ("Blue Kettle Bakery", "blue-kettle"),
    ("Lindqvist & Daughters", "lindqvist"),
    ("Meridian Freight", "meridian"),
    ("Copper Lane Books", "copper-lane"),
    ("Okonkwo Architects", "okonkwo"),
    ("Saltmarsh Brewing", "saltmarsh"),
)
_FIRST = (
    "Amina",
    "Bjarne",
    "Chiara",
    "Dov",
    "Elodie",
    "Farid",
    "Greta",
    "Hiro",
    "Ines",
    "Jonas",
    "Kavita",
    "Lech",
    "Marta",
    "Søren",
)
_LAST = (
    "Abara",
    "Brandt",
    "Castellano",
    "Dahl",
    "Eriksen",
    "Fontaine",
    "Grzyb",
    "Haddad",
    "Ivarsson",
    "Jansen",
    "Kimura",
    "Lindqvist",
)
_OUTSIDERS = (
    "Solveig Dahl",
    "Trattoria Bonaventura",
    "R. Okafor",
    "Cabinet Lémery",
    "Night Courier",
    "Petra Novotná",
    "Tidewater Dental",
    "J. Achterberg",
    "City Water Board",
    "Yusuf Karaca",
    "Elm Street School",
    "Unknown Caller",
)
_ROOMS = ("Front Desk", "Warehouse", "Accounts Department", "Night Bell")
_EXTENSIONS = 8
_FIRST_EXTENSION = 2001


@frozen
class Party:
    """Somebody at the end of a leg. People of an account have a user and a device; outsiders have neither."""

    name: str
    number: str
    user_id: str | None = None
    device_id: str | None = None

    @property
    def inside(self) -> bool:
        """Whether it is one of an account's people."""
        return self.device_id is not None


@frozen
class Tenant:
    """An account as the switchboard knows it. `number` is the one that the world dials."""

    id: str
    name: str
    realm: str
    number: str
    people: tuple[Party, ...]
    callflow_id: str
    mailbox_id: str
    faxbox_id: str
    reseller_id: str | None = None

    def person(self, reference: str) -> Party | None:
        """The one whose extension, user id or device id it is."""
        return next(
            (one for one in self.people if reference in (one.number, one.user_id, one.device_id)), None
        )

    def party(self, number: str) -> Party:
        """Whoever is reached by dialling `number`: one of the account's people, or somebody outside."""
        return self.person(number) or next(
            (one for one in OUTSIDERS if one.number == number), Party(number, number)
        )


#: The world outside.
OUTSIDERS = tuple(Party(name, f"+155555501{40 + at:02d}") for at, name in enumerate(_OUTSIDERS))


def fresh_id(chance: random.Random) -> str:
    """Like the ids of KAZOO's documents: 32 hexadecimal characters."""
    return f"{chance.getrandbits(128):032x}"


def fresh_call_id(chance: random.Random) -> str:
    """Like the ids that switches give to legs."""
    return f"{uuid.UUID(int=chance.getrandbits(128), version=4)}@switch.example.net"


def make_tenants(chance: random.Random, count: int) -> list[Tenant]:
    """A reseller, and its `count` - 1 sub-accounts. Realms differ from one world to the next, so that a storage can hold several."""
    world = f"{chance.getrandbits(24):06x}"
    reseller = _tenant(chance, 0, *_RESELLER, world, None)
    subs = []
    for number in range(1, count):
        name, word = _COMPANIES[(number - 1) % len(_COMPANIES)]
        again = (number - 1) // len(_COMPANIES)
        more = (f" {again + 1}", f"-{again + 1}") if again else ("", "")
        subs.append(_tenant(chance, number, name + more[0], word + more[1], world, reseller.id))
    return [reseller, *subs]


def _tenant(
    chance: random.Random, index: int, name: str, word: str, world: str, reseller_id: str | None
) -> Tenant:
    names = [*chance.sample(_ROOMS, 2), *_people(chance, _EXTENSIONS - 2)]
    people = tuple(
        Party(who, str(_FIRST_EXTENSION + at), fresh_id(chance), fresh_id(chance))
        for at, who in enumerate(names)
    )
    ids = (fresh_id(chance), fresh_id(chance), fresh_id(chance))
    return Tenant(
        fresh_id(chance),
        name,
        f"{word}-{world}.demo.example.com",
        f"+155555501{index:02d}",
        people,
        *ids,
        reseller_id,
    )


def _people(chance: random.Random, count: int) -> list[str]:
    return [
        f"{first} {last}"
        for first, last in zip(chance.sample(_FIRST, count), chance.sample(_LAST, count), strict=True)
    ]
