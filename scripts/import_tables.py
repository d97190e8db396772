"""Writes what CloudFormation needs to take the tables of a stack that is gone into a new stack of the same name: a
template of template.yaml's tables alone, since an import can make nothing else, and the list of what is imported.

usage: import_tables.py STACK FOLDER      (docs/OPERATIONS.md says what to do with it)
"""

import json
import pathlib
import sys

from samtranslator.yaml_helper import yaml_parse

TEMPLATE = pathlib.Path(__file__).resolve().parent.parent / "template.yaml"
# What tables refer to.
PARAMETERS = ("DeletionProtection", "TableKey")
CONDITIONS = ("ManagesTableKey",)


def tables_alone(template):
    """The template without everything that is no table, and no part of one."""
    resources = template["Resources"].items()
    return {
        "AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"],
        "Parameters": {name: template["Parameters"][name] for name in PARAMETERS},
        "Conditions": {name: template["Conditions"][name] for name in CONDITIONS},
        "Resources": {name: one for name, one in resources if one["Type"] == "AWS::DynamoDB::Table"},
    }


def to_import(tables, stack):
    """Each table with its name in this stack."""
    return [
        {
            "ResourceType": table["Type"],
            "LogicalResourceId": resource,
            "ResourceIdentifier": {
                "TableName": table["Properties"]["TableName"]["Fn::Sub"].replace("${AWS::StackName}", stack)
            },
        }
        for resource, table in tables["Resources"].items()
    ]


def write(stack, folder):
    """Writes both files into a folder, which is made if it is not there."""
    tables = tables_alone(yaml_parse(TEMPLATE.read_text(encoding="utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("tables.json", tables), ("resources.json", to_import(tables, stack))):
        (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write(sys.argv[1], pathlib.Path(sys.argv[2]))
