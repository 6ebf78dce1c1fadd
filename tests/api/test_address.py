"""Tests of the addresses that users enter."""

from hypothesis import given, strategies as st
import pytest

from custom_components.gaze.api import InvalidHostError, parse_host


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("gaze.local", "http://gaze.local:5782"),
        ("  gaze.local\n", "http://gaze.local:5782"),
        ("GAZE.Local", "http://gaze.local:5782"),
        ("gaze_host-1", "http://gaze_host-1:5782"),
        ("gaze.local.", "http://gaze.local.:5782"),
        ("gaze.local/", "http://gaze.local:5782"),
        ("gaze.local:80", "http://gaze.local"),
        ("gaze.local/prefix/", "http://gaze.local:5782/prefix"),
        ("gaze.local:8080/prefix", "http://gaze.local:8080/prefix"),
        ("192.168.1.20", "http://192.168.1.20:5782"),
        ("192.168.1.20:5782", "http://192.168.1.20:5782"),
        ("fd00::5", "http://[fd00::5]:5782"),
        ("fd00::", "http://[fd00::]:5782"),
        ("[fd00::5]", "http://[fd00::5]:5782"),
        ("[fd00::5]:5782", "http://[fd00::5]:5782"),
        ("[FD00:0:0::5]:8080/prefix", "http://[fd00::5]:8080/prefix"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:5782"),
        ("http://gaze.local", "http://gaze.local"),
        ("http://gaze.local:80/", "http://gaze.local"),
        ("http://gaze.local:5782/", "http://gaze.local:5782"),
        ("HTTPS://gaze.example.org:443/prefix/", "https://gaze.example.org/prefix"),
        ("https://gaze.example.org:80", "https://gaze.example.org:80"),
        ("https://gaze.example.org/a/./b/../c//", "https://gaze.example.org/a/c"),
        ("https://gaze.example.org/~ann/@gaze", "https://gaze.example.org/~ann/@gaze"),
        ("münchen.local", "http://xn--mnchen-3ya.local:5782"),
        ("gaze.local/bücher", "http://gaze.local:5782/b%C3%BCcher"),
    ],
)
def test_address_is_normalized(text: str, url: str) -> None:
    assert str(parse_host(text)) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "/",
        "http://",
        "http:///prefix",
        "http:gaze.local",
        "http:/gaze.local",
        "ftp://gaze.local",
        "file:///etc/passwd",
        "gaze local",
        "gaze\u200b.local",
        "gaze.local\\prefix",
        "-gaze.local",
        "gaze..local",
        f"{'a' * 64}.local",
        ".".join(["a" * 60] * 5),
        "gaze.local:",
        "gaze.local:/prefix",
        "gaze.local:0",
        "gaze.local:65536",
        "gaze.local:port",
        "[fd00::5",
        "fd00::5]:80",
        "[fd00::zz]",
        "ann@gaze.local",
        "http://ann:secret@gaze.local",
        "http://:@gaze.local",
        "gaze.local?",
        "gaze.local/?api_key=secret",
        "gaze.local#",
        "gaze.local/#top",
    ],
)
def test_invalid_address_is_rejected(text: str) -> None:
    with pytest.raises(InvalidHostError):
        parse_host(text)


@given(
    st.text()
    | st.text("gaze.:/[]@?#%-_01234 ")
    | st.builds("http://{}:{}/{}".format, st.text("ab.-"), st.integers(), st.text())
)
def test_normalized_address_stays_unchanged(text: str) -> None:
    try:
        url = parse_host(text)
    except InvalidHostError:
        return

    assert str(parse_host(str(url))) == str(url)
    assert url.scheme in {"http", "https"}
    assert url.raw_host
    assert (url.user, url.password, url.query_string, url.fragment) == (None, None, "", "")
