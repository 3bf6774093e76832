"""The words that the demo organisation is made of: names in six scripts, organisations, titles.

A name is written as its owner writes it, and once more in plain Latin letters for the mail address.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A name as its owner writes it, and in the letters of a mail address."""

    text: str
    latin: str


@dataclass(frozen=True, slots=True)
class Script:
    """Names of one script, and how many of a hundred people have one."""

    identifier: str
    weight: int
    given: tuple[Word, ...]
    family: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Organisation:
    """One organisation: its code and name in HR, its share of the people, its group in the CRM."""

    code: str
    name: str
    weight: int
    titles: tuple[str, ...]
    group: str | None = None


def _words(text: str) -> tuple[Word, ...]:
    """Words from ``text=latin`` items; a name that is plain Latin already stands alone."""
    parts = (item.partition("=") for item in text.split())
    return tuple(Word(native, latin or native.lower()) for native, _, latin in parts)


LATIN = Script(
    "Latin",
    66,
    _words(
        "José=jose Łukasz=lukasz Søren=soren Müge=muge Renée=renee Åsa=asa Ömer=omer Chloé=chloe Jiří=jiri Siân=sian "
        "Nguyệt=nguyet Şükrü=sukru Noël=noel Þóra=thora Gizella Amélie=amelie Ana Peter Hannah Miguel Ifeoma Kwame "
        "Leila Tomás=tomas Ingrid Björn=bjorn Zuzana Ottó=otto Élodie=elodie Wiremu Abdoulaye Mireille Jeroen Saoirse "
        # The same letters, composed and decomposed, are different bytes: both must come through.
        "Zoë=zoe Zoe\u0308=zoe"
    ),
    _words(
        "García=garcia Nowak Jørgensen=jorgensen Yılmaz=yilmaz Lefèvre=lefevre Öberg=oberg Nguyễn=nguyen Dvořák=dvorak "
        "Ó'Brien=obrien Großmann=grossmann Kovács=kovacs Müller=muller Okafor Ferreira Anderson Rossi Lindqvist "
        "Peña-Nieto=pena-nieto Håkonsen=hakonsen Șerban=serban Krūmiņš=krumins Jónsdóttir=jonsdottir Mensah Tamm "
        "D'Angelo=dangelo Smith Bakker Murphy Castro Diallo Sørensen=sorensen Žižka=zizka Ruiz Horvat Petit Weiß=weiss"
    ),
)
GREEK = Script(
    "Greek",
    8,
    _words(
        "Γιώργος=giorgos Ελένη=eleni Δημήτρης=dimitris Σοφία=sofia Νίκος=nikos Κατερίνα=katerina Άννα=anna Ηλίας=ilias"
    ),
    _words(
        "Παπαδόπουλος=papadopoulos Οικονόμου=oikonomou Γεωργίου=georgiou Νικολαΐδης=nikolaidis Ψαράς=psaras "
        "Αθανασίου=athanasiou Χατζής=chatzis Μακρής=makris"
    ),
)
CYRILLIC = Script(
    "Cyrillic",
    8,
    _words("Ольга=olga Дмитро=dmytro Ирина=irina Сергей=sergey Їванна=yivanna Петър=petar Љубица=ljubica Фёдор=fyodor"),
    _words(
        "Шевченко=shevchenko Иванов=ivanov Ковальчук=kovalchuk Соловьёв=solovyov Димитров=dimitrov Ђорђевић=djordjevic "
        "Щербак=shcherbak Ґонтаренко=gontarenko"
    ),
)
ARABIC = Script(
    "Arabic",
    6,
    _words("أمينة=amina محمد=mohammed فاطمة=fatima يوسف=youssef ليلى=layla خالد=khalid مريم=maryam عمر=omar"),
    _words("العلوي=alaoui حدّاد=haddad منصور=mansour الخطيب=alkhatib صالح=saleh بنعلي=benali درويش=darwish نجّار=najjar"),
)
CHINESE = Script(
    "Chinese",
    6,
    _words("伟=wei 芳=fang 秀英=xiuying 敏=min 静=jing 强=qiang 丽=li 𠮷明=jiming"),
    _words("王=wang 李=li 张=zhang 刘=liu 陈=chen 欧阳=ouyang 赵=zhao 黄=huang"),
)
DEVANAGARI = Script(
    "Devanagari",
    6,
    _words("आरव=aarav प्रिया=priya श्रुति=shruti विक्रम=vikram काव्या=kavya रोहन=rohan नेहा=neha अर्जुन=arjun"),
    _words("शर्मा=sharma पटेल=patel सिंह=singh गुप्ता=gupta राव=rao मिश्रा=mishra देशपांडे=deshpande जोशी=joshi"),
)
SCRIPTS = (LATIN, GREEK, CYRILLIC, ARABIC, CHINESE, DEVANAGARI)

DOMAIN = "meridian.example"
DIRECTOR_TITLE = "Managing Director"
HEAD_TITLE = "Head of Department"
LEAD_TITLE = "Team Lead"
HEADQUARTERS = "DIR"

ORGANISATIONS = (
    Organisation(HEADQUARTERS, "Direction générale", 2, ("Assistant", "Chief of Staff")),
    Organisation("SAL", "Sales", 16, ("Account Manager", "Sales Engineer", "Area Sales Manager"), "Sales"),
    Organisation("SUP", "Customer Support", 14, ("Support Agent", "Support Engineer", "Dispatcher"), "Support"),
    Organisation(
        "ENG",
        "Engineering",
        20,
        ("Software Engineer", "Senior Engineer", "Test Engineer", "Site Reliability Engineer"),
        "Engineering",
    ),
    Organisation("MKT", "Marketing, Média", 8, ("Brand Manager", "Content Editor"), "Marketing"),
    Organisation("FIN", "Finance", 8, ("Accountant", "Controller"), "Finance"),
    Organisation("LOG", "Logistik Süd", 10, ("Dispatcher", "Warehouse Clerk"), "Logistics"),
    Organisation("ITS", "Information Technology", 7, ("System Administrator", "Service Desk Agent")),
    Organisation("HRM", "Human Resources", 4, ("Recruiter", "Payroll Clerk")),
    Organisation("LEG", 'Legal "and" Compliance', 3, ("Counsel", "Compliance Officer")),
    # The dash is a character of windows-1252 that ISO 8859-1 does not have.
    Organisation("PUR", "Purchasing – Zürich", 4, ("Buyer", "Category Manager")),
    Organisation("QUA", "Qualité", 4, ("Quality Inspector", "Auditor")),
)
GROUPS = {item.code: item.group for item in ORGANISATIONS if item.group is not None}
"""CRM group of an organisation, by code; the rules of the CRM configuration say the same."""
RENAMED_ORGANISATION = ("QUA", "Qualité & Sécurité")
"""The organisation that has another name from the second day on."""
UNKNOWN_ORGANISATIONS = ("TMP", "OLD")
"""Codes that people name and that the organisations file does not know."""
