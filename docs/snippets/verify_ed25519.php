<?php
// Verify a webhook that is signed with a key pair. $headers has its names in lower case; $body is the raw request.

const TOLERANCE = 5 * 60; // seconds

function verify(string $publicKey, array $headers, string $body): bool
{
    $id = $headers['webhook-id'] ?? '';
    $timestamp = $headers['webhook-timestamp'] ?? '';
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > TOLERANCE) {
        return false;
    }
    $key = base64_decode(preg_replace('/^whpk_/', '', $publicKey));
    foreach (explode(' ', $headers['webhook-signature'] ?? '') as $one) {
        $signature = str_starts_with($one, 'v1a,') ? base64_decode(substr($one, 4)) : '';
        if (strlen($signature) === SODIUM_CRYPTO_SIGN_BYTES
            && sodium_crypto_sign_verify_detached($signature, "$id.$timestamp.$body", $key)) {
            return true;
        }
    }
    return false;
}
