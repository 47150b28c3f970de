"""What work costs on AWS, in dollars, in energy and in greenhouse gas: estimates, with their factors.

Money: list prices of us-east-1 without any free tier (November 2026; other regions take up to half as much again).
AWS Lambda on x86-64 https://aws.amazon.com/lambda/pricing/, Amazon S3 Standard https://aws.amazon.com/s3/pricing/,
AWS Step Functions Standard https://aws.amazon.com/step-functions/pricing/.

Energy and CO2e: the method and the factors of Cloud Carbon Footprint for AWS,
https://www.cloudcarbonfootprint.org/docs/methodology (`AwsFootprintEstimationConstants.ts`, appendices I and V).
The making of the servers is in it (CCF's `coefficients-aws-embodied.csv`); where the grid is clean it is most of all.
Left out, because it is small beside the rest: storage of the scratch space for its hours.
"""

import os

USD_PER_GB_SECOND = 0.0000166667
"""AWS Lambda. A GB is 1,024 MB of configured memory."""
USD_PER_CALL = 0.20e-6
"""AWS Lambda, per request."""
USD_PER_WRITE = 0.005e-3
"""Amazon S3, per PUT, COPY, POST or LIST request."""
USD_PER_READ = 0.0004e-3
"""Amazon S3, per GET or HEAD request."""
USD_PER_TRANSITION = 0.025e-3
"""AWS Step Functions, per state transition."""
TRANSITIONS_PER_CALL = 2
"""The task itself, and at most one more for the child workflow in which a distributed map runs it."""
TRANSITIONS_PER_STAGE = 5
"""The states around a map: is there another stage, which one, the map, has it a reduce, the next."""

MB_PER_VCPU = 1769
"""Configured memory that comes with a whole vCPU (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html)."""
IDLE_WATTS, BUSY_WATTS = 0.74, 3.5
"""Of a vCPU, averaged over the processors of AWS."""
KWH_PER_GB_HOUR = 0.000392
"""Of memory."""
KWH_PER_GB = 0.001
"""Of a network between places: what comes from sources."""
EMBODIED_GRAMS_PER_VCPU_HOUR = 0.44
"""Of making the server: c5 1,344 kg and m5 1,611 kg CO2e of 96 vCPUs that serve for four years (35,040 h), their mean."""
PUE = 1.135
"""Power usage effectiveness: all energy of a data centre over that of its computers."""
GRAMS_PER_KWH = {
    "af-south-1": 900.6,
    "ap-east-1": 710.0,
    "ap-northeast-1": 465.8,
    "ap-northeast-2": 415.6,
    "ap-northeast-3": 465.8,
    "ap-south-1": 708.2,
    "ap-southeast-1": 408.0,
    "ap-southeast-2": 760.0,
    "ap-southeast-3": 717.7,
    "ca-central-1": 120.0,
    "eu-central-1": 311.0,
    "eu-north-1": 8.8,
    "eu-south-1": 213.4,
    "eu-west-1": 278.6,
    "eu-west-2": 225.0,
    "eu-west-3": 51.1,
    "me-central-1": 404.1,
    "me-south-1": 505.9,
    "sa-east-1": 61.7,
    "us-east-1": 379.1,
    "us-east-2": 410.6,
    "us-west-1": 322.2,
    "us-west-2": 322.2,
}
"""CO2e of the electricity grid of each AWS region."""
UNKNOWN_GRID = sum(GRAMS_PER_KWH.values()) / len(GRAMS_PER_KWH)
"""Where the region is none of these, and on a machine that is not AWS: their mean."""


def region() -> str:
    """The AWS region in which this process runs, empty where it does not run on AWS: laptops may set AWS_REGION too."""
    return os.environ.get("AWS_REGION", "") if on_lambda() else ""


def on_lambda() -> bool:
    """Whether this process is a call of a Lambda function."""
    return "AWS_LAMBDA_FUNCTION_NAME" in os.environ


def factors(where: str) -> dict[str, float]:
    """What an estimate for a region was made with, so that others can make it again."""
    return {
        "usd_per_gb_second": USD_PER_GB_SECOND,
        "usd_per_call": USD_PER_CALL,
        "usd_per_store_write": USD_PER_WRITE,
        "usd_per_store_read": USD_PER_READ,
        "usd_per_transition": USD_PER_TRANSITION,
        "watts_per_idle_vcpu": IDLE_WATTS,
        "watts_per_busy_vcpu": BUSY_WATTS,
        "mb_per_vcpu": MB_PER_VCPU,
        "kwh_per_gb_hour_of_memory": KWH_PER_GB_HOUR,
        "kwh_per_gb_from_sources": KWH_PER_GB,
        "pue": PUE,
        "g_co2e_per_vcpu_hour_embodied": EMBODIED_GRAMS_PER_VCPU_HOUR,
        "g_co2e_per_kwh": GRAMS_PER_KWH.get(where, round(UNKNOWN_GRID, 1)),
    }


def usd(*, gb_seconds: float, calls: int, reads: int, writes: int, transitions: int) -> float:
    """List price. What leaves AWS for the internet (a download of the result) is not in it."""
    return (
        gb_seconds * USD_PER_GB_SECOND
        + calls * USD_PER_CALL
        + reads * USD_PER_READ
        + writes * USD_PER_WRITE
        + transitions * USD_PER_TRANSITION
    )


def kwh(*, gb_seconds: float, cpu_seconds: float, source_bytes: int) -> float:
    """Energy of processors, memory and network: idle watts of the vCPUs held, the rest for the time they were busy."""
    processors = (IDLE_WATTS * vcpu_hours(gb_seconds) + (BUSY_WATTS - IDLE_WATTS) * cpu_seconds / 3600) / 1000
    return PUE * (processors + gb_seconds / 3600 * KWH_PER_GB_HOUR + source_bytes / 1e9 * KWH_PER_GB)


def grams(energy_kwh: float, *, gb_seconds: float, where: str) -> float:
    """CO2e of energy taken from a region's grid, and of the servers' making for the time that they were held."""
    made = EMBODIED_GRAMS_PER_VCPU_HOUR * vcpu_hours(gb_seconds)
    return energy_kwh * GRAMS_PER_KWH.get(where, UNKNOWN_GRID) + made


def vcpu_hours(gb_seconds: float) -> float:
    """Hours of one vCPU that come with memory held for so long."""
    return gb_seconds * 1024 / MB_PER_VCPU / 3600
