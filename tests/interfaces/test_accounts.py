from kazoo_bridge.interfaces import AccountFields, AccountRefused


def test_what_is_not_given_stays() -> None:
    assert (AccountFields().name, AccountFields(realm="r").realm) == (None, "r")


def test_a_refusal_names_the_field_and_the_rule() -> None:
    error = AccountRefused("realm", "unique", "in use")
    assert (error.field, error.rule, str(error)) == ("realm", "unique", "in use")
