"""Who can sign in to the demo, by what they may do."""

DEMO_ACCOUNTS = {
    "member": "membre@demo.example",
    "buyer": "acheteur@demo.example",
    "animator": "animateur@demo.example",
    "agent": "conseiller@demo.example",
    "dpo": "dpo@demo.example",
    "operator": "exploitant@demo.example",
}
