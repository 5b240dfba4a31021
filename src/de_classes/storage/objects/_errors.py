"""The one place where failures of obstore and of the file system become errors of ours."""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from obstore import exceptions as theirs

from de_classes.errors import (
    AccessDenied,
    BucketNotFound,
    ObjectExists,
    ObjectNotFound,
    OutOfSpace,
    PreconditionFailed,
    StoreError,
    StoreUnreachable,
    UnsafeStore,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BeyondEnd",
    "beyond_end",
    "bucket_missing",
    "no_links",
    "object_exists",
    "object_missing",
    "precondition_failed",
    "told_of",
    "translated",
]

_CODE = re.compile(r"<Code>([A-Za-z0-9]+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_DENIED = {
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "AuthorizationHeaderMalformed",
    "InvalidClientTokenId",
    "AccountProblem",
    "AllAccessDisabled",
}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


@contextmanager
def translated(subject: str, bucket: str, address: str = "") -> Iterator[None]:
    """Raise what happens inside as a StoreError about `subject`; `bucket` names what holds it, `address` where."""
    try:
        yield
    except OSError as error:
        raise _of_files(error, subject, bucket) from error
    except theirs.BaseError as error:
        raise _of_obstore(error, subject, bucket, address) from error


def object_missing(subject: str) -> ObjectNotFound:
    return ObjectNotFound(
        subject, "there is no such object", "Check the key and the prefix; list() shows what is there."
    )


def object_exists(subject: str) -> ObjectExists:
    return ObjectExists(subject, "the object is there already", "Use another key, or put without create_only.")


def precondition_failed(subject: str) -> PreconditionFailed:
    return PreconditionFailed(
        subject, "the object is not the version that was expected", "Read it again and decide anew."
    )


class BeyondEnd(StoreError):  # noqa: N818 -- as all errors of this package
    """Bytes were asked for that the object does not have."""


def beyond_end(subject: str) -> BeyondEnd:
    return BeyondEnd(subject, "the range begins behind the object's end", "Ask head() for its size.")


def bucket_missing(bucket: str) -> BucketNotFound:
    if "://" in bucket and not bucket.startswith("file:"):
        return BucketNotFound(bucket, "there is no such bucket", "Check its name and the endpoint, or create it.")
    return BucketNotFound(bucket, "there is no such folder", "Check the path, or create it.")


def told_of(error: BaseException) -> str:
    """The part of a library's message that a person needs: its first line, without the dump that follows."""
    text = str(error).split("\n\nDebug source", 1)[0]
    text = re.sub(r"<\?xml.*", "", text, flags=re.DOTALL)
    return " ".join(text.split()).rstrip(": ")[:300]


def _of_files(error: OSError, subject: str, bucket: str) -> StoreError:
    code = _CODE.search(str(error))
    if code and code[1] == "NoSuchBucket":
        return bucket_missing(bucket)
    if isinstance(error, FileNotFoundError):
        return object_missing(subject)
    if isinstance(error, FileExistsError):
        return object_exists(subject)
    if error.errno in _FULL:
        return OutOfSpace(subject, "there is no space left to write it", "Free some space, or raise the quota.")
    if isinstance(error, PermissionError):
        return AccessDenied(subject, "the file system does not allow this", "Check owner and mode of the folder.")
    return StoreError(subject, f"the file system says: {error.strerror or told_of(error)}", "")


def _of_obstore(  # noqa: PLR0911 -- one line per meaning
    error: theirs.BaseError, subject: str, bucket: str, address: str
) -> StoreError:
    text = str(error)
    found, number = _CODE.search(text), _STATUS.search(text)
    code, status = found[1] if found else "", number[1] if number else ""
    if code == "NoSuchBucket":
        return bucket_missing(bucket)
    if isinstance(error, theirs.AlreadyExistsError):
        return object_exists(subject)
    if isinstance(error, theirs.PreconditionError):
        return precondition_failed(subject)
    if (
        isinstance(error, theirs.PermissionDeniedError | theirs.UnauthenticatedError)
        or code in _DENIED
        or status in {"401", "403"}
    ):
        return _denied(subject, code)
    if code == "NotImplemented" or status == "501" or isinstance(error, theirs.NotSupportedError):
        return UnsafeStore(
            subject,
            "the store does not offer what was asked",
            "Use a store with conditional writes, such as S3 or MinIO.",
        )
    if code in {"QuotaExceeded", "XMinioStorageFull"} or status == "507":
        return OutOfSpace(
            subject, f"the store has no space for it ({code or status})", "Free some space, or raise the quota."
        )
    if code == "InvalidRange" or status == "416" or "Invalid range:" in text:
        return beyond_end(subject)
    if not status and ("HTTP error" in text or "error sending request" in text):
        return _unreachable(bucket, address, text)
    if code in {"PermanentRedirect", "IllegalLocationConstraintException"} or status == "301":
        return StoreError(bucket, "the bucket is in another region", "Give the bucket's own region: region='...'.")
    return StoreError(subject, f"the store says: {code or told_of(error)}", "")


def _denied(subject: str, code: str) -> AccessDenied:
    return AccessDenied(
        subject,
        f"the store does not accept the credentials ({code})"
        if code
        else "the store does not accept the credentials for this",
        "Check access key, secret key and what their owner may do; and this machine's clock.",
    )


def _unreachable(bucket: str, address: str, text: str) -> StoreUnreachable:
    why = (
        "the answer took too long"
        if "timed out" in text.lower() or "TimedOut" in text or "kind: Timeout" in text
        else "no connection"
    )
    at = f" at {address}" if address else ""
    return StoreUnreachable(
        bucket, f"the store cannot be reached{at}: {why}", "Check the endpoint, the network, and that the store runs."
    )


def no_links(error: OSError, subject: str) -> UnsafeStore | None:
    """The error for a file system on which nothing can be created atomically, if that is what `error` says."""
    if error.errno not in _NO_LINKS:
        return None
    return UnsafeStore(
        subject,
        "this file system has no hard links, so that objects cannot be created safely",
        "Use a folder on another file system, such as ext4, XFS, APFS or NFS.",
    )
