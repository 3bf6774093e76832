FROM astrocrpublic.azurecr.io/runtime:3.3-1
# The demo organisation's first day, so that `astro dev start` has files to read.
RUN python -m include.demo generate include/demo/data --day 1
