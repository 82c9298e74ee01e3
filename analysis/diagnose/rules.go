package diagnose

import (
	"github.com/moncap/moncap/analysis/report"
)

// rule draws one kind of conclusion. Its code is that of its findings in the catalogue.
type rule struct {
	code string
	find func(*judge) []report.Finding
}

// proofs add the evidence of findings that a rule leaves it out of: there may be one of every
// conversation, and of those that fold makes one of, the first frames are told.
var proofs = map[string]func(*judge, *report.Finding){"responder-auth-rejected": proveRejected}

// rules are asked in this order, which is that of equals in the report: no rule looks at what
// others found. What the captures themselves lack comes first, since it limits what may be said
// about the rest.
var rules = []rule{
	{"capture-of-other-tunnel", captureOfOtherTunnel},
	{"capture-one-sided", captureOneSided}, {"capture-damaged", captureDamaged},
	{"capture-unreadable", captureUnreadable}, {"capture-empty", captureEmpty},
	{"capture-windows-disjoint", captureDisjoint},
	{"capture-truncated-packets", captureTruncated},
	{"capture-duplicates", captureDuplicates},
	{"capture-filter-incomplete", captureFilter}, {"capture-buffer-full", captureBufferFull},
	{"capture-rate-limited", captureRateLimited}, {"capture-punt-policed", capturePoliced},
	{"transfer-host-key-changed", transferHostKey},
	{"clock-offset", clockOffset}, {"strangers", strangers},
	{"other-tunnel-fails", otherTunnelFails}, {"malformed-message", malformedMessage},
	{"no-ike-traffic", noIKETraffic},
	{"nat-detected", natDetected}, {"nat-port-rewritten", natPortRewritten}, {"nat-mapping-changed", natMappingChanged},
	{"udp-encapsulation-forced", encapsulationForced},
	{"icmp-rejected", icmpRejected}, {"packet-too-big", packetTooBig},
	{"ip-fragments-lost", ipFragmentsLost}, {"ike-fragments-lost", ikeFragmentsLost}, {"mtu-black-hole", mtuBlackHole},
	{"ike-fragmentation-not-negotiated", fragmentationOff},
	{"wrong-peer-address", wrongPeer},
	{"nat-t-blocked", natTBlocked}, {"path-blocked", pathBlocked}, {"egress-drop", egressDrop}, {"path-loss", pathLoss},
	{"payload-altered", payloadAltered}, {"duplicated-on-path", duplicatedOnPath}, {"reordered-on-path", reorderedOnPath},
	{"dscp-rewritten", dscpRewritten}, {"slow-path", slowPath},
	{"version-mismatch", versionMismatch}, {"upgrade-refuses-weak", upgradeRefusesWeak},
	{"ike-proposal-mismatch", proposalMismatch}, {"ke-group-mismatch", groupMismatch},
	{"ke-group-retry", groupRetry}, {"cookie-challenge", cookieChallenge}, {"redirected", redirected},
	{"selection-not-offered", selectionNotOffered}, {"additional-key-exchange", additionalKeyExchange},
	{"weak-crypto", weakCrypto},
	{"simultaneous-initiation", simultaneousInitiation}, {"half-open-flood", halfOpenFlood},
	{"auth-failed", authFailed}, {"child-sa-refused", childRefused}, {"responder-auth-rejected", responderRejected},
	{"psk-mismatch-v1", pskMismatchV1}, {"user-authentication-failed", userRefused},
	{"quick-mode-refused", quickModeRefused},
	{"tunnel-established", tunnelEstablished},
	{"nat-float-missing", natFloatMissing}, {"nat-keepalive-missing", natKeepaliveMissing},
	{"rekey", rekey}, {"rekey-collision", rekeyCollision}, {"rekey-failed", rekeyFailed}, {"dpd-timeout", dpdTimeout},
	{"sa-deleted", saDeleted}, {"sa-flapping", saFlapping}, {"invalid-spi", invalidSPI}, {"error-notify", errorNotify},
	{"esp-blocked", espBlocked}, {"ipsec-drop", ipsecDrop}, {"esp-one-way", espOneWay}, {"esp-loss", espLoss},
	{"esp-replay-window-exceeded", espReplay},
	{"answer-from-other-address", answerElsewhere}, {"inconsistent-answers", inconsistentAnswers},
	{"esp-stale-spi", espStaleSPI}, {"esp-sequence-restart", espSequenceRestart},
	{"esp-encapsulation-differs", espEncapsulationDiffers},
	{"traffic-in-clear", trafficInClear},
	{"quick-mode-stalled", quickModeStalled}, {"main-mode-stalled", mainModeStalled},
	{"control-plane-drop", controlPlaneDrop}, {"external-service-timeout", externalServiceTimeout},
	{"peer-not-answering", peerNotAnswering},
	{"response-ignored", responseIgnored},
	{"retransmissions-exhausted", exhausted},
	{"router-says-why", routerSaysWhy},
	{"debug-agrees", debugAgrees}, {"debug-sent-not-captured", debugNotCaptured},
	{"debug-captured-not-received", debugNotReceived},
}
