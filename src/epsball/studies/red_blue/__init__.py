"""Study: penalties against FGSM."""
