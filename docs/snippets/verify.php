<?php
// Verify a signed webhook. $headers has its names in lower case, $body is file_get_contents('php://input').

const TOLERANCE = 5 * 60; // seconds

function verify(string $secret, array $headers, string $body): bool
{
    $id = $headers['webhook-id'] ?? '';
    $timestamp = $headers['webhook-timestamp'] ?? '';
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > TOLERANCE) {
        return false;
    }
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
    $expected = base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    $good = false;
    foreach (explode(' ', $headers['webhook-signature'] ?? '') as $one) {
        if (str_starts_with($one, 'v1,') && hash_equals($expected, substr($one, 3))) {
            $good = true;
        }
    }
    return $good;
}
