"""How a member and a provider are named: CIN, NPI, TIN, telephone, ZIP code, dates; read strictly, stored one way.

Each reader takes the text of one cell and returns the stored form; what it cannot read raises Unreadable with a code
of the vocabulary and advice in plain words. Nothing here guesses: a digit that is missing stays missing. What a
spreadsheet did to a number is undone where it can be for certain, and the value says so (Mended).
https://www.dhcs.ca.gov/services/medi-cal/eligibility (CIN and BIC) and https://www.cms.gov (NPI check digit)
"""

import re
from datetime import date, timedelta
from typing import Final, Self

import xxhash

from fhir_server.ecm import vocabulary as v

_CIN: Final = re.compile(r"([0-9]{8}[A-Z])([0-9]([0-9]{4})?)?")
_USUAL_PHONE: Final = re.compile(r"\(?([2-9][0-9]{2})\)?[ .\-]?([2-9][0-9]{2})[ .\-]?([0-9]{4})")
_SEPARATORS: Final = re.compile(r"[\s\-.()/]+")
_EXTENSION: Final = re.compile(r"(?:extension|ext\.?|x|#)\s*:?\s*([0-9]{1,6})", re.IGNORECASE)
_COUNTRY: Final = re.compile(r"\+?1(?=[2-9][0-9]{9})")
_ZIP: Final = re.compile(r"([0-9]{5})(?:[\s\-]?([0-9]{4}))?")
_ZIP_WITHOUT_ZERO: Final = re.compile(r"[1-8][0-9]{3}")
ZERO_RESTORED: Final = "A leading zero was restored."
_NUMBER_RESTORED: Final = "A number in floating point was made an identifier again."
_SERIAL_READ: Final = "The day number of a spreadsheet was read as a date."
_EMAIL: Final = re.compile(r"[^@\s<>,;\"']+@[^@\s<>,;\"']+\.[A-Za-z]{2,}")
_LONGEST_EMAIL: Final = 254
_ISO: Final = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[T\s].*)?")
_US: Final = re.compile(r"([0-9]{1,2})[/\-.]([0-9]{1,2})[/\-.]([0-9]{4})(?:\s.*)?")
_MONTH: Final = re.compile(r"([0-9]{4})[-/]?([0-9]{2})|([0-9]{1,2})[-/]([0-9]{4})")
_QUARTER: Final = re.compile(r"([0-9]{4})[\s\-]?Q([1-4])|Q([1-4])[\s\-]?([0-9]{4})")
_FLOAT: Final = re.compile(r"([0-9])\.([0-9]+)[eE]\+?([0-9]{1,2})")
_DIGITS_OF_A_DISPLAY: Final = 6  # what a spreadsheet shows of a number that does not fit: more is the number itself
_SERIAL_DAYS: Final = (10_000, 80_000)  # 1927 to 2119 as day numbers of a spreadsheet
_SPREADSHEET_EPOCH: Final = date(1899, 12, 30)
_YEARS: Final = range(1900, 2101)
_NPI_ISSUER: Final = 24  # what the prefix 80840 adds to the check sum
_LUHN_DOUBLE: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


class Unreadable(ValueError):
    """A cell that does not hold what its column promises: a code of the vocabulary and advice for the sender.

    `kept` is what could be read nevertheless, of a list with one bad item.
    """

    def __init__(self, code: str, advice: str, kept: object = None) -> None:
        self.code = code
        self.advice = advice
        self.kept = kept
        super().__init__(advice)


class Mended(str):
    """A value that a spreadsheet had damaged and that could be restored for certain; `how` says what was done."""

    __slots__ = ("how",)
    how: str

    def __new__(cls, text: str, how: str) -> Self:
        """The value with what was done to it."""
        made = super().__new__(cls, text)
        made.how = how
        return made


def cin(text: str) -> str:
    """The nine characters of a Client Index Number, also out of the 10 or 14 of a card; Unreadable (bad-cin) otherwise.

    The rule of the card's check digit and of the letter is not published, so form is all that is checked.
    """
    found = _CIN.fullmatch(text) or _CIN.fullmatch(_SEPARATORS.sub("", text).upper())
    if found is None:
        raise Unreadable(v.BAD_CIN, "Give the 9 characters of the CIN: eight digits and a letter.")
    return found[1]


def number_of(cin: str) -> int:
    """A number that stands for a CIN: a file of any length is remembered in little memory."""
    return xxhash.xxh3_64_intdigest(cin.encode())


def npi(text: str) -> str:
    """Ten digits with a right check digit (Luhn over 80840 and the number); Unreadable (bad-npi) otherwise."""
    digits = _whole(text)
    if len(digits) != 10 or not _is_digits(digits) or digits[0] not in "12":  # noqa: PLR2004 - an NPI has ten
        raise Unreadable(v.BAD_NPI, "Give the 10 digits of the NPI.")
    total = _NPI_ISSUER + sum(map(int, digits[1::2])) + sum(_LUHN_DOUBLE[int(d)] for d in digits[0::2])
    if total % 10:
        raise Unreadable(v.BAD_NPI, "The check digit of the NPI is wrong; a digit was mistyped.")
    return _told(text, digits)


def tin(text: str) -> str:
    """The nine digits of a tax identifier; Unreadable (bad-tin) otherwise."""
    digits = _whole(text)
    if len(digits) != 9 or not _is_digits(digits):  # noqa: PLR2004 - a TIN has nine
        raise Unreadable(v.BAD_TIN, "Give the 9 digits of the tax identifier, leading zeros included.")
    return _told(text, digits)


def phone(text: str) -> str:
    """Ten digits, and `x` with an extension where there is one; Unreadable (bad-phone) otherwise."""
    if (usual := _USUAL_PHONE.fullmatch(text)) and len(set(digits := "".join(usual.groups()))) > 1:
        return digits
    extension = _EXTENSION.search(text)
    number = text[: extension.start()] if extension else text
    digits = _COUNTRY.sub("", _whole(number), count=1)
    usable = len(digits) == 10 and _is_digits(digits) and digits[0] > "1" and digits[3] > "1"  # noqa: PLR2004
    if not usable or len(set(digits)) == 1 or (extension and extension.end() != len(text.rstrip())):
        raise Unreadable(v.BAD_PHONE, "Give a ten-digit telephone number, area code first.")
    return f"{digits}x{extension[1]}" if extension else _told(number, digits)


def zip_code(text: str) -> str:
    """Five digits, or five and four with a hyphen; Unreadable (bad-zip) otherwise.

    Four digits are a ZIP code of the East whose zero a spreadsheet dropped; see `assignment` for who can have one.
    """
    found = _ZIP.fullmatch(text.strip())
    if found is None:
        digits = _whole(text)
        if _ZIP_WITHOUT_ZERO.fullmatch(digits):
            return Mended(f"0{digits}", ZERO_RESTORED)
        found = _ZIP.fullmatch(digits)
    if found is None:
        raise Unreadable(v.BAD_ZIP, "Give a ZIP code of 5 or 9 digits, leading zeros included.")
    return _told(text, f"{found[1]}-{found[2]}" if found[2] else found[1])


def email(text: str) -> str:
    """An e-mail address as written; Unreadable (bad-email) when it has not the form of one."""
    address = text.strip()
    if len(address) > _LONGEST_EMAIL or _EMAIL.fullmatch(address) is None:
        raise Unreadable(v.BAD_EMAIL, "Give one e-mail address, like name@example.org.")
    return address


def day(text: str) -> str:
    """An ISO date out of 2025-07-01, 7/1/2025, 20250701, 07012025 or a spreadsheet's day number.

    Unreadable (bad-date) for anything else; a two-digit year is ambiguous and refused.
    """
    text = text.strip()
    if found := _ISO.fullmatch(text):
        return _date(found[1], found[2], found[3])
    if found := _US.fullmatch(text):
        return _date(found[3], found[1], found[2])
    digits = _whole(text)
    if _is_digits(digits):
        return _digits_day(digits)
    raise _bad_date()


def period(text: str) -> str:
    """A reporting period as 2025-07 or 2025-Q3, out of the spellings in use; Unreadable (bad-period) otherwise."""
    text = text.strip().upper()
    if found := _QUARTER.fullmatch(text):
        return f"{found[1] or found[4]}-Q{found[2] or found[3]}"
    found = _MONTH.fullmatch(text)
    year, month = (int(found[1] or found[4]), int(found[2] or found[3])) if found else (0, 0)
    if year not in _YEARS or month not in range(1, 13):
        raise Unreadable(v.BAD_PERIOD, "Give the reporting period as year and month (2025-07) or quarter (2025 Q3).")
    return f"{year:04}-{month:02}"


def _digits_day(digits: str) -> str:
    if len(digits) == 5 and _SERIAL_DAYS[0] <= int(digits) <= _SERIAL_DAYS[1]:  # noqa: PLR2004 - a day number
        return Mended((_SPREADSHEET_EPOCH + timedelta(days=int(digits))).isoformat(), _SERIAL_READ)
    if len(digits) != 8:  # noqa: PLR2004 - year, month and day
        raise _bad_date()
    if int(digits[:4]) in _YEARS and digits[4:6] <= "12":
        return _date(digits[:4], digits[4:6], digits[6:])
    return _date(digits[4:], digits[:2], digits[2:4])


def _date(year: str, month: str, of_month: str) -> str:
    try:
        value = date(int(year), int(month), int(of_month))
    except ValueError:
        raise _bad_date() from None
    if value.year not in _YEARS:
        raise _bad_date()
    return value.isoformat()


def _bad_date() -> Unreadable:
    return Unreadable(v.BAD_DATE, "Give a date of the calendar as MM/DD/YYYY or YYYY-MM-DD, with a four-digit year.")


def _whole(text: str) -> str:
    """Digits without separators, also out of the floating-point number (123.0, 1.23456789E8) a program made of them."""
    text = text.strip()
    if (found := _FLOAT.fullmatch(text)) and _DIGITS_OF_A_DISPLAY <= len(found[2]) <= int(found[3]):
        return f"{found[1]}{found[2]:0<{int(found[3])}}"
    return _SEPARATORS.sub("", text.removesuffix(".0"))


def _told(text: str, digits: str) -> str:
    """The digits, mended if the cell held them as a floating-point number."""
    text = text.strip()
    return Mended(digits, _NUMBER_RESTORED) if text.endswith(".0") or "e" in text.casefold() else digits


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
