from kazoo_bridge.directory.dialling import Dialling, region_to_e164
from kazoo_bridge.kazoo.number_converters import NumberConverters


def test_national_numbers_of_a_region() -> None:
    assert region_to_e164("4158867900", "US") == "+14158867900"
    assert region_to_e164("0114722555019", "US") == "+4722555019"
    assert region_to_e164("22555019", "NO") == "+4722555019"
    assert region_to_e164("+22555019", "NO") == "+22555019"
    assert region_to_e164("1" * 30, "US") is None
    assert region_to_e164("12", "US") is None
    assert region_to_e164("4158867900", "") is None


def test_the_converters_of_kazoo_replace_the_region() -> None:
    dialling = Dialling("NO")
    assert dialling.to_e164("22555019") == "+4722555019"
    dialling.converters = NumberConverters.parse({r"^(\d+)$": {"prefix": "+45"}})
    assert dialling.to_e164("22555019") == "+4522555019"
    dialling.converters = None
    assert dialling.to_e164("22555019") == "+4722555019"
