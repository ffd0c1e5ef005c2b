"""The people who visit the site in the walkthrough, and one who errs."""

import shutil
import subprocess

VISITORS = [
    {
        "name": "Zoë Łukasiewicz-Ångström",
        "email": "zoe@example.com",
        "about_me": "I grew up between a bakery and a railway station, which explains "
        "the early mornings and the timetables.\n\n"
        "These days I mend pianos, mostly on stairs that were never meant for them.",
        "hobby": "Bell ringing",
        "dream_job": "Lighthouse keeper",
        "saying": "Slow is smooth, and smooth is fast.",
        "colour": "#b5432a",
    },
    {
        "name": "Ελένη Παπαδοπούλου",
        "email": "eleni@example.com",
        "about_me": "Μεγάλωσα σε ένα νησί με περισσότερες γάτες παρά κατοίκους. "
        "Σήμερα διδάσκω μαθηματικά και φτιάχνω βάρκες από χαρτί.",
        "hobby": "Κολύμπι τον χειμώνα",
        "dream_job": "Καπετάνισσα",
        "saying": "Αργά και σταθερά.",
        "colour": "#1d5fa8",
    },
    {
        "name": "Юлия Щербакова",
        "email": "yulia@example.com",
        "about_me": "Собираю старые карты и варю варенье из всего, что растёт. "
        "Знаю наизусть расписание трёх трамваев.",
        "hobby": "Шахматы по переписке",
        "dream_job": "Смотрительница ботанического сада",
        "saying": "Тише едешь — дальше будешь.",
        "colour": "#5b3a8c",
    },
    {
        "name": "山田 花子",
        "email": "hanako@example.com",
        "about_me": "京都で生まれ、今は長野の山のふもとで暮らしています。"
        "毎朝、犬と一緒に川沿いを歩きます。",
        "hobby": "盆栽",
        "dream_job": "天文学者",
        "saying": "七転び八起き",
        "colour": "#d9779b",
    },
    {
        "name": "ليلى الحداد",
        "email": "layla@example.com",
        "about_me": "أكتب القصائد في الصباح الباكر وأصلح الساعات القديمة في المساء. "
        "أحب البحر والقهوة والكتب التي لا تنتهي.",
        "hobby": "الخط العربي",
        "dream_job": "أمينة مكتبة",
        "saying": "الصبر مفتاح الفرج",
        "colour": "#f2c94c",
    },
    {
        "name": "Sam Rivers 🌻",
        "email": "sam@example.com",
        "about_me": "Bikes 🚲, maps 🗺️ and soup 🍜. In that order.",
        "hobby": "",
        "dream_job": "",
        "saying": "",
        "colour": "#2f855a",
    },
]
ERRING_VISITOR = {
    "name": "  ",
    "email": "nobody.at.home",
    "about_me": "I forgot who I am.",
    "colour": "#336699",
}

PHOTOGRAPHERS = "photographs.example.com"  # where they have their addresses


def photographer(title):
    """Return what the sender of a photograph fills in."""
    return {
        "name": f"Photograph: {title}",
        "email": f"{title.replace(' ', '-').replace(',', '')}@{PHOTOGRAPHERS}",
        "about_me": "I am here for my photograph.",
        "colour": "#336699",
    }


def has_font_for(name):
    """Tell whether one of the system's fonts has all the unusual letters of a name."""
    if not shutil.which("fc-list"):
        return True
    letters = {f"{ord(letter):x}" for letter in name if not letter.isascii()}
    command = ["fc-list", ":charset=" + " ".join(letters), "family"]
    return bool(subprocess.run(command, capture_output=True).stdout.strip())
