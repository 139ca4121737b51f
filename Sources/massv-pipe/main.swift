print("massv-pipe")
