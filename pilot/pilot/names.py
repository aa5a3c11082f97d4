"""How people read the programme's codes."""

COUNTRIES: dict[str, str] = {
    "AT": "Austria",
    "BE": "Belgium",
    "BG": "Bulgaria",
    "CY": "Cyprus",
    "DE": "Germany",
    "ES": "Spain",
    "FR": "France",
    "HR": "Croatia",
    "HU": "Hungary",
    "IT": "Italy",
    "LT": "Lithuania",
    "MT": "Malta",
    "PL": "Poland",
    "PT": "Portugal",
    "RO": "Romania",
    "SI": "Slovenia",
}

SECTORS: dict[str, str] = {
    "10": "Food products",
    "14": "Apparel",
    "22": "Plastic products",
    "25": "Metal products",
    "26": "Instruments",
    "28": "Machinery",
    "31": "Furniture",
    "35": "Energy",
    "43": "Specialised building",
    "46": "Wholesale",
    "47": "Retail",
    "55": "Hotels",
    "58": "Publishing",
    "62": "Programming",
    "63": "Hosting and data",
    "69": "Accounting, law",
    "70": "Consultancy",
    "71": "Engineering",
    "72": "Research",
    "73": "Advertising",
    "74": "Design",
    "79": "Travel services",
    "85": "Education",
}
"""NACE Rev. 2.1 divisions, in a word or two."""

INDICATORS: dict[str, str] = {
    "SEND_MATCH": "Well matched | (sending companies)",
    "HOST_MATCH": "Well matched | (hosting companies)",
    "XBORDER": "Cross-border business | will develop (companies)",
    "NEWPROD": "New products or services | will come (companies)",
    "EMP_PROFDEV": "Professional development | (travellers)",
}
"""In two lines."""

TRAINING: dict[str, str] = {"traveller": "The traveller is trained", "host_staff": "The host's staff is trained"}

FUNNEL: dict[str, str] = {
    "registered": "registered",
    "proposed": "with a proposal",
    "agreed": "with an agreement",
    "completed": "in a completed stay",
}
"""Of companies."""

STAGES: dict[str, str] = {
    "proposed": "proposed",
    "accepted": "accepted by both",
    "drafted": "agreement drafted",
    "agreed": "signed by all three",
    "ongoing": "ongoing",
    "completed": "completed",
    "surveyed": "surveyed",
}
"""Of exchanges, each having come at least so far."""

CHECKLIST: dict[str, str] = {
    "a1_request": "A1 certificate requested",
    "posting_notification": "Posting notified",
    "insurance": "Insurance",
    "accommodation": "Accommodation",
    "travel_document": "Travel document",
}

TICKED: dict[str, str] = {
    "in_time": "done in time",
    "late": "done late",
    "never": "never said to be done",
    "called_off": "stay called off before",
}
"""What became of an item of a checklist."""

LATENCIES: dict[str, str] = {
    "registration_to_proposal": "Registration to proposal",
    "completion_to_invitation": "Completion to invitation",
}


def indicator(code: str) -> str:
    return INDICATORS.get(code, code)
