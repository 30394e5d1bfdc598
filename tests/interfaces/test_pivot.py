from __future__ import annotations

from kazoo_bridge.interfaces import AnswerRefused, PivotRefused, StoredPivot, TooManyPivots


def test_a_refused_answer_says_what_is_wrong_with_each_field() -> None:
    refused = AnswerRefused({"flow.module": {"required": {"message": "this field is required"}}})
    assert str(refused) == "flow.module: this field is required"


def test_errors_have_their_values() -> None:
    assert (PivotRefused(404, "no such").status, str(PivotRefused(404, "no such"))) == (404, "no such")
    assert (TooManyPivots(3).limit, str(TooManyPivots(3))) == (3, "an account may have 3 pivot points")


def test_a_stored_pivot_point_does_not_show_its_secret() -> None:
    pivot = StoredPivot("1", "a", {"name": "front-desk"}, "hunter2", "1-x", 0, 0)
    assert pivot.name == "front-desk"
    assert "hunter2" not in repr(pivot)
