from tests.cli.harness import A, CliHarness


def test_the_digits_of_an_added_number_are_printed_alone(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    assert cli.lines("number", "add", "--account", A, "+47 22 55 50 19") == ["4722555019"]
    assert cli.lines("number", "list") == [f"4722555019  {A}"]


def test_rejected_numbers(cli: CliHarness) -> None:
    assert "no account" in cli.error("number", "add", "--account", A, "+4722555019")
    cli.run("account", "create", "--id", A)
    cli.run("number", "add", "--account", A, "+4722555019")
    assert A in cli.error("number", "add", "--account", A, "4722555019")
    assert "digits" in cli.error("number", "add", "--account", A, "reception")


def test_numbers_are_removed(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    cli.run("number", "add", "--account", A, "+4722555019")
    assert cli.lines("number", "remove", "+47 22555019") == ["removed number 4722555019"]
    assert "no account owns number 4722555019" in cli.error("number", "remove", "+4722555019")
    assert cli.lines("number", "list") == []
