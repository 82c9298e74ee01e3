// Package diagnose judges a case: two captures of one tunnel, matched packet by packet, and what
// was collected around them. Its heart is an ordered list of rules, one small function a
// finding, each named after its code in findings.yaml. A rule reads the case and returns
// findings with their evidence; it never looks at other findings. What follows from what is
// decided afterwards, in one place.
package diagnose
